"""What a corpus keeps, drops, holds out and refuses."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scaling_jax.training import corpus as corpus_module
from scaling_jax.training import staging
from scaling_jax.training.corpus import Corpus, prepare
from scaling_jax.training.documents import documents

WORDS = "the cost of a model is what it takes to train and what it takes to serve".split()


def document(number: int) -> str:
    """Text that differs from number to number, and is no ASCII throughout."""
    rng = np.random.default_rng(number)
    return f"№ {number}: " + " ".join(rng.choice(WORDS, 40)) + "\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A hundred documents in two folders, one of them twice, and files that are no text."""
    root = tmp_path / "text"
    (root / "more").mkdir(parents=True)
    for number in range(100):
        place = root / "more" if number % 2 else root
        (place / f"{number:03}.txt").write_text(document(number), encoding="utf-8")
    (root / "copy.txt").write_text(document(7), encoding="utf-8")
    (root / "empty.txt").write_text(" \n")
    (root / ".hidden").write_text("not a document")
    (root / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (root / "latin.txt").write_bytes("café".encode("latin-1"))
    return root


def texts(corpus: Corpus) -> tuple[list[str], list[str]]:
    """The documents of both sides, from the ids back."""
    sides = [
        corpus.tokenizer.decode(ids).removesuffix("\0").split("\0")
        for ids in (corpus.tokens, corpus.heldout)
    ]
    return sides[0], sides[1]


def test_text_comes_back_and_every_document_is_on_one_side(folder, tmp_path):
    corpus = prepare(folder, tmp_path / "corpus", heldout=0.2)
    train, held = texts(corpus)
    assert sorted(train + held) == sorted(document(number) for number in range(100))
    assert 5 < len(held) < 40
    manifest = corpus.manifest
    assert manifest["documents"] == 100
    assert manifest["heldout_documents"] == len(held)
    assert manifest["duplicates"] == 1
    assert manifest["skipped"] == 2
    assert manifest["tokens"] + manifest["heldout_tokens"] == manifest["text_bytes"] + 100
    assert corpus.vocab_size == 256
    assert corpus.tokens.dtype == np.uint8
    assert isinstance(corpus.tokens, np.memmap)
    corpus.verify()


def test_the_side_depends_on_the_document_alone(folder, tmp_path):
    _, held = texts(prepare(folder, tmp_path / "one", heldout=0.2))
    lines = [json.dumps({"text": document(number)}) for number in reversed(range(150))]
    (tmp_path / "other.jsonl").write_text("\n".join(lines))
    train, more = texts(prepare(tmp_path / "other.jsonl", tmp_path / "two", heldout=0.2))
    assert set(held) < set(more)
    assert not set(held) & set(train)


def test_the_same_source_gives_the_same_corpus(folder, tmp_path):
    first, second = (prepare(folder, tmp_path / name, heldout=0.2) for name in ("one", "two"))
    assert first.fingerprint == second.fingerprint
    (folder / "more" / "new.txt").write_text(document(1000), encoding="utf-8")
    assert prepare(folder, tmp_path / "three", heldout=0.2).fingerprint != first.fingerprint


def test_a_prepared_corpus_is_opened_and_not_made_again(folder, tmp_path):
    first = prepare(folder, tmp_path / "corpus", heldout=0.2)
    written = (tmp_path / "corpus" / "tokens.bin").stat().st_mtime_ns
    (folder / "new.txt").write_text(document(1000), encoding="utf-8")
    again = prepare(folder, tmp_path / "corpus", heldout=0.2)
    assert again.fingerprint == first.fingerprint
    assert (tmp_path / "corpus" / "tokens.bin").stat().st_mtime_ns == written
    assert prepare(tmp_path / "corpus", tmp_path / "unused").folder == tmp_path / "corpus"
    with pytest.raises(ValueError, match=r"prepared with heldout 0\.2, not 0\.1"):
        prepare(folder, tmp_path / "corpus", heldout=0.1)


def test_a_long_file_is_cut_at_line_ends_into_documents(tmp_path):
    lines = [f"{document(number)}" for number in range(400)]
    text = "".join(lines)
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    train, held = texts(prepare(tmp_path / "book.txt", tmp_path / "corpus", heldout=0.3))
    assert held
    assert all(piece in text and piece.endswith("\n") for piece in train + held)
    assert sum(map(len, train + held)) == len(text)


def test_a_file_with_a_byte_that_is_no_text_is_skipped_whole(tmp_path):
    text = ("words of a line\n" * 20_000).encode()
    (tmp_path / "torn.txt").write_bytes(text + b"\xff" + text)
    tally = Counter()
    assert list(documents(str(tmp_path / "torn.txt"), tally)) == []
    assert tally["skipped"] == 1


def test_bpe_text_comes_back_in_fewer_tokens(folder, tmp_path):
    pytest.importorskip("tokenizers")
    plain = prepare(folder, tmp_path / "plain", heldout=0.2)
    corpus = prepare(folder, tmp_path / "bpe", heldout=0.2, tokenizer="bpe:300")
    assert texts(corpus) == texts(plain)
    assert corpus.vocab_size == 300
    assert corpus.tokens.dtype == np.uint16
    assert corpus.tokens.max() < 300
    assert len(corpus.tokens) < 0.5 * len(plain.tokens)
    reopened = Corpus.open(tmp_path / "bpe")
    strange = "日本 \t\n é <|endoftext|> [UNK]"
    assert reopened.tokenizer.decode(reopened.tokenizer.encode([strange])[0]) == strange
    again = prepare(folder, tmp_path / "again", heldout=0.2, tokenizer="bpe:300")
    assert again.fingerprint == corpus.fingerprint
    reopened.verify()


def test_ids_that_are_ready(tmp_path):
    ids = np.random.default_rng(0).integers(0, 50_000, 2**17)
    np.save(tmp_path / "ids.npy", ids)
    ids.astype(np.uint16).tofile(tmp_path / "ids.bin")
    one = prepare(tmp_path / "ids.npy", tmp_path / "one", heldout=0.3)
    two = prepare(tmp_path / "ids.bin", tmp_path / "two", heldout=0.3, dtype="uint16")
    assert one.fingerprint == two.fingerprint
    assert one.vocab_size == ids.max() + 1
    assert one.tokens.dtype == np.uint16
    assert len(one.tokens) + len(one.heldout) == len(ids)
    whole = prepare(tmp_path / "ids.npy", tmp_path / "whole", heldout=0)
    np.testing.assert_array_equal(whole.tokens, ids)
    with pytest.raises(ValueError, match="text is not known"):
        _ = one.tokenizer
    one.verify()


@pytest.mark.parametrize(
    ("name", "content", "arguments", "sentence"),
    [
        ("absent", None, {}, "no corpus is at .*absent"),
        ("a.txt", b" \n", {}, "the corpus is empty"),
        ("a.txt", b"\0\1\2", {}, "1 files were skipped"),
        ("a.txt", b"text", {"heldout": 1.0}, r"heldout is 1\.0"),
        ("a.txt", b"text", {"heldout": 1e-9}, "none of 1 documents is held out; it must be 0"),
        ("a.txt", b"text", {"tokenizer": "words"}, "the tokenizer is 'words'; it must be"),
        ("a.txt", b"text", {"tokenizer": "bpe:257"}, "must have more than 257"),
        ("a.jsonl", b'{"text": "a"}\n{"txt": 1}', {}, "row 2 has no text"),
        ("a.jsonl", b'{"text": "a"}\n{', {}, "row 2 is no JSON"),
        ("a.bin", b"1234", {}, "dtype is None; .* such as 'uint16'"),
        ("a.bin", b"123", {"dtype": "uint16"}, "has 3 bytes"),
        ("a.npy", b"123", {}, "is no NumPy file"),
        ("a.npy", b"", {}, "is no NumPy file"),
        ("a.txt", b"text", {"tokenizer": "bpe:" + "9" * 23}, "must have at most 16,777,216"),
        ("a.txt", b"text", {"tokenizer": "bpe:0301"}, "the tokenizer is 'bpe:0301'; it must"),
    ],
)
def test_what_cannot_be_prepared_is_named_and_leaves_nothing(
    tmp_path, name, content, arguments, sentence
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        prepare(tmp_path / name, tmp_path / "out" / "corpus", **arguments)
    assert not any((tmp_path / "out").glob("*"))


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("precious")
    with pytest.raises(ValueError, match="holds something else"):
        prepare(tmp_path / "a.txt", tmp_path / "mine")


@pytest.fixture
def prepared(folder, tmp_path) -> Path:
    return prepare(folder, tmp_path / "corpus", heldout=0.2).folder


def test_a_damaged_corpus_is_refused(prepared):
    with (prepared / "tokens.bin").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"tokens\.bin has .* bytes; the manifest says"):
        Corpus.open(prepared)
    (prepared / "tokens.bin").unlink()
    with pytest.raises(ValueError, match="has 0 bytes"):
        Corpus.open(prepared)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is damaged"),
        ("{}", "no manifest of format 1"),
        ('{"format": 1}', "source is None"),
        ("dtype", "dtype is 'foo'"),
    ],
)
def test_a_damaged_manifest_is_refused(prepared, content, sentence):
    path = prepared / "manifest.json"
    if content == "dtype":
        content = json.dumps(json.loads(path.read_text()) | {"dtype": "foo"})
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{sentence}.*; remove the folder {prepared} and"):
        Corpus.open(prepared)


def test_a_corpus_that_another_process_ends_meanwhile_is_taken(folder, tmp_path, monkeypatch):
    out = tmp_path / "corpus"
    check = corpus_module.check_source

    def meanwhile(source):
        monkeypatch.setattr(corpus_module, "check_source", check)
        prepare(source, out, heldout=0.2)

    monkeypatch.setattr(corpus_module, "check_source", meanwhile)
    assert prepare(folder, out, heldout=0.2).folder == out


def test_a_folder_is_locked_until_it_is_synced(tmp_path, monkeypatch):
    """A kill during the sync leaves a lock, by which the next attempt may remove the rest."""
    seen = []
    monkeypatch.setattr(staging, "_sync", lambda stage: seen.extend(os.listdir(stage)))
    with staging.staged(tmp_path / "corpus"):
        pass
    assert seen == ["lock"]
    assert not list((tmp_path / "corpus").iterdir())


def test_a_prepared_corpus_is_not_taken_for_another(prepared, tmp_path):
    for asked in ({"tokenizer": "bpe:512"}, {"heldout": 0.5}):
        with pytest.raises(ValueError, match=f"was prepared with {next(iter(asked))}"):
            prepare(prepared, tmp_path / "unused", **asked)


def test_a_changed_byte_is_found(prepared):
    with (prepared / "tokens.bin").open("r+b") as file:
        file.write(b"?")
    with pytest.raises(ValueError, match="is damaged: its fingerprint is"):
        Corpus.open(prepared).verify()


def test_a_folder_that_is_no_corpus_is_named(tmp_path):
    with pytest.raises(ValueError, match="no prepared corpus is at"):
        Corpus.open(tmp_path)


def test_a_full_disk_leaves_nothing(folder, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(
            OSError, match=r"could not be written.*nothing of it is left behind"
        ):
            prepare(folder, tmp_path / "out" / "corpus", heldout=0.2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not any((tmp_path / "out").iterdir())


# Prepares the corpus argv[2] from argv[1] and dawdles over its third document.
DAWDLE = """
import sys, time
from scaling_jax.training import corpus, writing
every = writing.documents
def slowly(*arguments):
    for number, each in enumerate(every(*arguments)):
        if number == 3:
            print("busy", flush=True)
            time.sleep(60)
        yield each
writing.documents = slowly
corpus.prepare(sys.argv[1], sys.argv[2], heldout=0.2)
"""


def test_neither_a_kill_nor_another_process_leaves_half_a_corpus(folder, tmp_path):
    out = tmp_path / "out" / "corpus"
    command = [sys.executable, "-c", DAWDLE, str(folder), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        (stage,) = out.parent.iterdir()
        corpus = prepare(folder, out, heldout=0.2)  # beside a process at work
        assert stage.exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert stage.exists()
    digest = hashlib.sha256(corpus.tokens.tobytes()).hexdigest()
    prepare(folder, tmp_path / "out" / "corpus2", heldout=0.2)  # another name: leaves it alone
    assert stage.exists()
    (tmp_path / "out" / "corpus").rename(tmp_path / "out" / "old")
    again = prepare(folder, out, heldout=0.2)  # the same name: clears up after the killed one
    assert not stage.exists()
    assert hashlib.sha256(again.tokens.tobytes()).hexdigest() == digest


def test_the_slower_of_two_processes_takes_the_corpus_of_the_faster(folder, tmp_path):
    out = tmp_path / "corpus"
    script = DAWDLE.replace("time.sleep(60)", "sys.stdin.readline()")
    command = [sys.executable, "-c", script, str(folder), str(out)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        prepare(folder, out, heldout=0.2)
        written = (out / "tokens.bin").stat().st_mtime_ns
        process.communicate(b"\n", timeout=60)
        assert process.returncode == 0
    assert (out / "tokens.bin").stat().st_mtime_ns == written
    assert not list(tmp_path.glob(".corpus*"))


def test_a_data_set_is_a_corpus_of_its_texts(tmp_path):
    """Of one split, or of the split `train` of several; read offline, in order."""
    datasets = pytest.importorskip("datasets")
    texts = ["first ä", "second", "third"]
    split = datasets.Dataset.from_dict({"text": texts, "label": [0, 1, 2]})
    split.save_to_disk(tmp_path / "split")
    other = datasets.Dataset.from_dict({"text": ["held out elsewhere"]})
    datasets.DatasetDict(train=split, test=other).save_to_disk(tmp_path / "splits")
    for name in ("split", "splits"):
        assert list(documents(tmp_path / name, Counter())) == texts
    datasets.DatasetDict(test=other).save_to_disk(tmp_path / "no_train")
    with pytest.raises(
        ValueError, match="has the splits test; it must have one called 'train'"
    ):
        list(documents(tmp_path / "no_train", Counter()))
    datasets.Dataset.from_dict({"text": ["one", None]}).save_to_disk(tmp_path / "holes")
    with pytest.raises(ValueError, match="holes, row 2 has no text"):
        list(documents(tmp_path / "holes", Counter()))


def test_a_data_set_needs_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "dataset_info.json").write_text("{}")
    with pytest.raises(ImportError, match="needs the library datasets"):
        prepare(tmp_path / "set", tmp_path / "corpus")


def test_python_itself_is_a_corpus():
    first = next(documents("stdlib", Counter()))  # lazy: the whole takes seconds
    assert first == Path(sysconfig.get_path("stdlib"), "__future__.py").read_text()
