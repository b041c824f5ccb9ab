from __future__ import annotations

import re

import pytest

from helpers.running import TINY
from pixelcnn_lit.config import compose
from pixelcnn_lit.training import step_lines
from pixelcnn_lit.training.run import Run

LONG = ["trainer.max_epochs=50", "trainer.val_check_interval=4"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["trainer.max_steps=5"], r"step (\d)/5  train \d\.\d{4} bits/dim  [\d,]+ images/s  0:\d\d:\d\d left"),
        (["trainer.max_time=00:00:40:00", "trainer.max_steps=5"], r"step (\d)  train .* 0:[34]\d:\d\d left"),
        (["trainer.max_steps=5", "trainer.enable_progress_bar=false"], None),
    ],
)
def test_a_long_epoch_has_lines_where_there_is_no_terminal(options, expected, mnist_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(step_lines, "EVERY", 0.0)
    Run(compose([*TINY, *LONG, f"data.dir={mnist_dir}", *options]), tmp_path / "run").fit()
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if re.match(r"step \d[/ ]", line)]
    judged = [line for line in printed if line.startswith("validation batch")]
    if expected is None:
        assert not lines
        assert not judged
        return
    assert judged
    assert all(re.fullmatch(r"validation batch \d/\d  0:00:0\d left", line) for line in judged)
    found = [re.fullmatch(expected, line) for line in lines]
    assert lines
    assert all(found), lines
    assert [int(match[1]) for match in found][:3] == [1, 2, 3]
