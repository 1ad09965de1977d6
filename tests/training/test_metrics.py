"""Metrics of a run: what a kill leaves, and what damage is."""

import json

import pytest

from scaling_jax.training.metrics import MetricsFile, read_metrics

LINES = [{"step": step, "loss": 1.0, "seconds": float(step)} for step in range(1, 6)]
WHOLE = [json.dumps(line).encode() + b"\n" for line in LINES]


def test_a_line_cut_short_by_a_kill_ends_them(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(WHOLE) + WHOLE[0][:9])
    assert read_metrics(path) == LINES
    log = MetricsFile(path, after=3)
    assert log.seconds == 3.0  # the clock stands where the last line that was kept left it
    lap = log.lap()
    log.append({"step": 4, "loss": 1.0})
    log.close()
    assert read_metrics(path) == [*LINES[:3], {"step": 4, "loss": 1.0, "seconds": 3.0 + lap}]


@pytest.mark.parametrize("damage", [b"garbage\n", b"null\n", b"\xff\n", b"{}\n", b"\n"])
@pytest.mark.parametrize("where", [2, 5])
def test_damage_is_told_with_its_line_and_loses_nothing(tmp_path, damage, where):
    path = tmp_path / "metrics.jsonl"
    content = b"".join([*WHOLE[:where], damage, *WHOLE[where:]])
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"metrics\.jsonl, line {where + 1} is damaged"):
        MetricsFile(path, after=10)
    assert path.read_bytes() == content
