"""README as a reader meets it: its Python runs as printed, in order; so do its commands."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.cli import main
from scaling_jax.runs import CPU47
from tests.conftest import needs_x64

pytestmark = needs_x64
README = Path(__file__).parents[1] / "README.md"

# What takes long (and has tests of its own) or another machine; all else is run as printed.
_LONG = re.compile(
    r"^(scaling-jax (train|figures|compare|plan --law mixture|sweep(?!.*--(dry-run|status)))"
    r"|(?!scaling-jax))"
)


class Block(NamedTuple):
    """A fenced block: its language, the line that it begins on, its text."""

    language: str
    line: int
    text: str


def blocks(language: str) -> list[Block]:
    found, opened = [], None
    lines = README.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            continue
        if opened is None:
            opened = Block(line[3:].strip(), number + 1, "")
        else:
            found.append(opened._replace(text="\n".join(lines[opened.line - 1 : number - 1])))
            opened = None
    return [block for block in found if block.language == language]


def commands() -> list[tuple[int, str]]:
    """Return (line, command) of each command of the library in README's shell blocks."""
    lines = [
        (block.line + offset, line)
        for block in blocks("bash")
        for offset, line in enumerate(block.text.splitlines())
    ]
    return [(number, line) for number, line in lines if not _LONG.match(line)]


def like_the_papers() -> sj.Runs:
    """Return 48 runs at the sizes and ratios of the paper's, with noise of half a per cent."""
    params = np.repeat(np.geomspace(1.5e8, 6e9, 6), 8)
    tokens = params * np.tile(np.geomspace(10, 2_000, 8), 6)
    noise = np.random.default_rng(0).normal(0, 0.005, 48)
    loss = np.asarray(sj.laws.HOFFMANN_2022(params, tokens)) * np.exp(noise)
    return sj.Runs(params=params, tokens=tokens, loss=loss)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that README names: runs, a law, texts, a sweep that is over."""
    folder = tmp_path_factory.mktemp("readme")
    runs = like_the_papers()
    runs.write(folder / "runs.csv")
    fitted = sj.fit(runs, bootstrap=100)
    law = sj.Sourced(law=fitted.law, resampled=fitted.laws)
    sj.laws.save(law, folder / "law.json")
    (folder / "sweep").mkdir()
    CPU47.write(folder / "sweep" / "runs.csv")
    (folder / "sweep" / "sweep.json").write_text(json.dumps({"recipe": "smoke"}))
    (folder / "texts").mkdir()
    for source in Path(sj.__file__).parent.glob("*/*.py"):
        name = f"{source.parent.name}-{source.stem}.txt"
        shutil.copy(source, folder / "texts" / name)
    return folder


def tiny(**given):
    """Return a run of seconds in place of the one that README configures."""
    given["shape"].check()
    small = sj.shape_for(2e4, vocab_size=given["shape"].vocab_size, multiple=16)
    return type(CONFIG)(**given | {"shape": small, "tokens": 2**12, "length": 64, "batch": 4})


CONFIG = sj.RunConfig(shape=sj.shape_for(1e6, vocab_size=256), tokens=1)


def test_the_python_runs_as_printed_in_order(folder, monkeypatch):
    """Names that README takes for granted are given; a training run is made small."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sj, "RunConfig", tiny)
    tokens = np.geomspace(1e10, 1e13, 50)
    names = {
        "jax": jax,
        "jnp": jnp,
        "np": np,
        "losses": np.linspace(1.9, 2.6, 50),
        "demands": sj.Demand.of_tokens(tokens),
    }
    printed = blocks("python")
    assert printed
    for block in printed:
        text = "\n" * (block.line - 1) + block.text  # so that a traceback tells README's line
        try:
            exec(compile(text, str(README), "exec"), names)
        except Exception as error:
            raise AssertionError(
                f"README.md's block of line {block.line} failed: {error!r}"
            ) from error


@pytest.mark.parametrize(("line", "command"), commands(), ids=lambda each: str(each)[:40])
def test_the_commands_run_as_printed(folder, monkeypatch, capsys, line, command):
    pytest.importorskip("tyro", reason="the cli extra is not installed")
    monkeypatch.chdir(folder)
    arguments = shlex.split(command, comments=True)[1:]
    code = main(arguments)
    said = capsys.readouterr()
    assert code == 0, f"README.md's command of line {line}: {said.err}"
    assert "Traceback" not in said.err
