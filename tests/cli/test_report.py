"""`scaling-jax report`: the page as a file, and as a browser shows it."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.cli import main
from tests.conftest import needs_x64

pytest.importorskip("tyro", reason="the cli extra is not installed")
pytest.importorskip("matplotlib", reason="the plot extra is not installed")
pytestmark = needs_x64

_VOID = {"meta", "link", "br", "img", "hr", "input"}
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


class Outline(HTMLParser):
    """The tags of a page, every one of which has to be closed, and its text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def browser() -> list[str] | None:
    """Return the command of a headless browser that writes shot.png, or None."""
    cache = Path(
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright")
    )
    bundled = [str(path) for name in ("chrome", "headless_shell") for path in cache.rglob(name)]
    for name in (*_CHROMIUMS, *bundled):
        if path := shutil.which(name):
            options = "--headless --no-sandbox --disable-gpu --hide-scrollbars"
            return [path, *options.split(), "--window-size=1000,3000", "--screenshot=shot.png"]
    if path := shutil.which("firefox"):
        return [path, "--headless", "--window-size=1000,3000", "--screenshot", "shot.png"]
    return None


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a plan under a law with 40 resampled ones."""
    folder = tmp_path_factory.mktemp("report")
    middle = laws.HOFFMANN_2022
    stack = {name: np.full(40, value) for name, value in vars(middle).items()}
    stack["E"] = 1.69 + 0.02 * np.random.default_rng(0).normal(size=40)
    law, out = folder / "law <1>.json", folder / "plan.html"
    laws.save(laws.Sourced(law=middle, resampled=laws.Chinchilla(**stack)), law)
    options = "--loss 2.1 --inference-tokens 1e12 --dollars".split()
    assert main(["report", *options, "--law", str(law), "--out", str(out)]) == 0
    return out


def test_the_page_says_all_and_needs_nothing(report):
    page = report.read_text()
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert all(link.startswith("#") for link in outline.links)  # within the page
    assert not re.search(r"url\((?!#)|@import", page)
    assert outline.tags.count("svg") == 2
    text = " ".join(" ".join(outline.text).split())
    for words in (
        "Train ",
        "parameters on ",
        "less than the model of equal quality that is cheapest to train",
        "40 resampled sets of runs",
        "Output tokens served up by 1 %: the best model has",
        "the law's alpha",
        "A100-80GB (bf16): 312 TFLOP/s at $1.5 an hour, MFU 0.5",
        "Demand does not depend on the model's size.",
        "law <1>.json",
    ):
        assert words in text, words


@pytest.mark.skipif(browser() is None, reason="there is no Chromium, Chrome or Firefox here")
def test_a_browser_shows_the_page(report):
    from matplotlib import image

    command = [*browser(), report.as_uri()]
    subprocess.run(command, cwd=report.parent, check=True, capture_output=True, timeout=120)
    pixels = image.imread(report.parent / "shot.png")[:, :, :3]
    assert pixels.shape[1] == 1000
    assert pixels.mean() > 0.8
    blue = np.all(np.abs(pixels - np.array([0, 0x72, 0xB2]) / 255) < 0.02, axis=2)
    assert blue.sum() > 200  # the iso-loss curve


@pytest.mark.parametrize(
    ("options", "expected", "message"),
    [
        ("--loss 2", 2, "report needs the demand"),
        ("--loss 2 --requests 1 --law besiroglu2024 --runs runs.csv", 2, "two laws"),
        ("--requests 1", 2, "give loss or budget"),
        ("--loss 1.6 --requests 1", 1, "above the law's floor 1.69"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(capsys, tmp_path, options, expected, message):
    out = tmp_path / "plan.html"
    assert main(["report", *options.split(), "--out", str(out)]) == expected
    captured = capsys.readouterr()
    assert message in captured.err
    assert not out.exists()
