"""Public tables: raw files served from this machine, whole, damaged, cut off, or not at all."""

import dataclasses
import hashlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from scaling_jax import runs
from scaling_jax.cli import main
from scaling_jax.runs.registry import readers
from scaling_jax.runs.registry.entries import Entry
from tests.conftest import DATA

pytest.importorskip("pooch", reason="the data extra is not installed")
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")

RAW = (
    b"Model Name,Parameters,Tokens/Params,Tokens,Batch Size,Smoothed Loss,core_average\n"
    b"150M,151000000.0,10,1510000000.0,160.0,3.6832035779953000,0.0416\n"
    b"6B,6050000000.0,20,121000000000.0,960.0,2.4542530298233000,\n"
)
PLACE = "someone/some-runs/0123abcd/folder of d=8/results.csv"


@dataclasses.dataclass
class Server:
    """Serves bytes by path; what a path does not have is 404."""

    host: str
    files: dict[str, bytes]
    asked: list[str]
    cut: bool = False  # promise the whole, send half
    meeting: threading.Barrier | None = None  # answer when so many have asked


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = unquote(self.path).lstrip("/")
            served.asked.append(path)
            if served.meeting is not None:
                served.meeting.wait(60)
            if path not in served.files:
                self.send_error(404)
                return
            content = served.files[path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if served.cut else content)

        def log_message(self, format, *args):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        served = Server(f"http://127.0.0.1:{listener.server_port}", {PLACE: RAW}, [])
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        listener.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SCALING_JAX_DATA", raising=False)
    return tmp_path / "cache" / "scaling_jax"


@pytest.fixture
def tiny(server, cache, monkeypatch) -> Entry:
    """A table of the registry whose raw file the server has."""
    entry = Entry(
        "two runs",
        {PLACE: hashlib.sha256(RAW).hexdigest()},
        readers.sardana,
        rows=2,
        licence="MIT",
        params="total",
        loss="nats/token",
        paper="none",
        host=server.host,
    )
    monkeypatch.setitem(runs.PUBLIC, "tiny", entry)
    return entry


def cached(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_a_table_is_fetched_once_checked_and_read(server, tiny, cache):
    done = []
    read = runs.load("tiny", progress=lambda count, total: done.append((count, total)))
    assert read.params.tolist() == [1.51e8, 6.05e9]
    assert read.loss.tolist() == [3.6832035779953, 2.4542530298233]
    assert np.isnan(read["core_average"][1])
    assert done == [(1, 1)]
    assert [path.read_bytes() for path in cached(cache)] == [RAW]
    assert tiny.source == "github.com/someone/some-runs @ 0123abcd"
    server.files.clear()
    assert runs.load("tiny").params.tolist() == read.params.tolist()
    assert server.asked == [PLACE]


def test_a_damaged_file_is_refused_and_not_kept(server, tiny, cache):
    server.files[PLACE] = RAW.replace(b"3.68", b"3.86")
    with pytest.raises(ValueError, match=r"results\.csv is not the file that is known"):
        runs.load("tiny")
    assert cached(cache) == []


def test_a_file_cut_off_half_way_is_refused_and_not_kept(server, tiny, cache):
    server.cut = True
    with pytest.raises(ConnectionError, match="cannot be fetched: the connection was cut off"):
        runs.load("tiny")
    assert cached(cache) == []
    server.files[PLACE], server.cut = RAW[: len(RAW) // 2], False  # nothing says it is half
    with pytest.raises(ValueError, match="is not the file that is known"):
        runs.load("tiny")
    assert cached(cache) == []


def test_a_server_that_has_not_the_file_or_is_not_there(server, tiny, cache, monkeypatch):
    del server.files[PLACE]
    with pytest.raises(ConnectionError, match="the server answers 404 Not Found"):
        runs.load("tiny")
    monkeypatch.setitem(runs.PUBLIC, "tiny", tiny._replace(host="http://127.0.0.1:9"))
    with pytest.raises(ConnectionError, match=r"^http://127\.0\.0\.1:9/\S+ cannot .*: no conn"):
        runs.load("tiny")
    assert cached(cache) == []


def test_a_cached_file_that_was_damaged_is_fetched_again(server, tiny, cache):
    runs.load("tiny")
    (path,) = cached(cache)
    path.write_bytes(RAW[:50])
    assert len(runs.load("tiny")) == 2
    assert path.read_bytes() == RAW


FETCH = """
import sys
from scaling_jax.runs.registry.fetching import fetch
assert not {"pooch", "requests"} & set(sys.modules), "imported before they are needed"
print(fetch({sys.argv[1]: sys.argv[2]})[0].stat().st_size)
"""


def test_two_processes_at_once_end_with_one_good_file(server, tiny, cache):
    server.meeting = threading.Barrier(2)
    ((url, sha256),) = tiny.urls.items()
    call = [sys.executable, "-c", FETCH, url, sha256]
    both = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [each.communicate(timeout=120)[0] for each in both] == [f"{len(RAW)}\n"] * 2
    assert len(server.asked) == 2
    assert [path.read_bytes() for path in cached(cache)] == [RAW]


def test_one_bad_file_of_many_stops_the_table(server, tiny, cache, monkeypatch):
    places = {f"someone/many/0123/{i}.csv": hashlib.sha256(RAW).hexdigest() for i in range(40)}
    server.files |= dict.fromkeys(places, RAW)
    server.files["someone/many/0123/7.csv"] = b"half"
    monkeypatch.setitem(runs.PUBLIC, "tiny", tiny._replace(files=places))
    with pytest.raises(ValueError, match=r"7\.csv is not the file"):
        runs.table("tiny")
    assert all(path.read_bytes() == RAW for path in cached(cache))


def test_a_folder_of_tables_is_read_instead(tiny, server, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_JAX_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"SCALING_JAX_DATA is .* which has no tiny\.csv"):
        runs.load("tiny")
    (tmp_path / "tiny.csv").write_text("params,tokens,loss,note\n1e8,2e9,3.5,\n")
    assert runs.load("tiny").tokens.tolist() == [2e9]
    assert server.asked == []


def test_a_table_without_losses_by_tokens_is_a_table_only(tiny, cache, monkeypatch):
    monkeypatch.setitem(runs.PUBLIC, "tiny", tiny._replace(lacks="it has no tokens"))
    with pytest.raises(ValueError, match=r"it has no tokens; `runs.table\('tiny'\)`"):
        runs.load("tiny")
    assert runs.table("tiny")["Tokens/Params"].tolist() == [10, 20]


def test_an_unknown_name_is_told_the_known():
    with pytest.raises(ValueError, match="no public table is called 'sardana'; there are sard"):
        runs.load("sardana")


def test_every_entry_is_whole():
    for name, entry in runs.PUBLIC.items():
        assert entry.files, name
        assert all(words for words in entry[:8]), name
        for place, sha256 in entry.files.items():
            owner, repository, commit, *path = place.split("/")
            assert all((owner, repository, path)), place
            assert (len(bytes.fromhex(commit)), len(bytes.fromhex(sha256))) == (20, 32), place


@needs_data
def test_every_given_table_of_runs_has_an_entry_and_reads(monkeypatch):
    monkeypatch.setenv("SCALING_JAX_DATA", str(DATA))
    given = {path.stem.removesuffix("_runs") for path in DATA.glob("**/*.csv")}
    # Typed by hand from many pages, or of several files: no one public file makes them.
    others = {"serving_measured", "serving_models", "serving_latency", "allreduce_measured"}
    assert given - others == set(runs.PUBLIC)
    for name, entry in runs.PUBLIC.items():
        count = len(next(iter(runs.table(name).values())))
        assert count == entry.rows, name
        if not entry.lacks:
            assert len(runs.load(name)) == entry.rows, name


def test_the_command_lists_and_gets(server, tiny, tmp_path, capsys):
    pytest.importorskip("tyro", reason="the cli extra is not installed")
    assert main(["data", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == list(runs.PUBLIC)
    assert listed["sardana2024"]["licence"] == "Apache-2.0"
    assert listed["tiny"]["files"] == [{"url": u, "sha256": s} for u, s in tiny.urls.items()]
    assert main(["data", "list"]) == 0
    assert "vocab_tao2024" in capsys.readouterr().out
    out = tmp_path / "tiny.csv"
    assert main(["data", "get", "tiny", "--out", str(out)]) == 0
    assert "2 rows, 7 columns; two runs." in capsys.readouterr().out
    assert (
        out.read_text().splitlines()[2]
        == "6B,6050000000.0,20,121000000000.0,960.0,2.4542530298233,"
    )
    assert len(runs.read_runs(out)) == 2
    server.files[PLACE] = b"other"
    for path in (tmp_path / "cache").rglob("results.csv"):
        path.unlink()
    assert main(["data", "get", "tiny", "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
