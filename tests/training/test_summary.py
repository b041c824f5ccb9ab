from __future__ import annotations

import json
import math

import pytest

from helpers.running import TINY
from pixelcnn_lit.config import compose
from pixelcnn_lit.training import summary
from pixelcnn_lit.training.run import Run


def test_metrics_that_json_cannot_hold_become_null():
    assert summary.valid({"a": math.nan, "b": -math.inf, "c": 1.5, "d": None, "e": "nan"}) == {
        "a": None,
        "b": None,
        "c": 1.5,
        "d": None,
        "e": "nan",
    }


def test_the_metrics_say_what_was_left_out_and_which_steps_came_after_the_last_validation(mnist_dir, tmp_path):
    options = ["trainer.limit_test_batches=2", "trainer.max_steps=13", "trainer.check_val_every_n_epoch=1", "seed=7"]
    run = Run(compose([*TINY, f"data.dir={mnist_dir}", *options]), tmp_path)
    run.fit()
    metrics = run.conclude()
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["limits"] == {"limit_test_batches": 2}
    assert (written["test_images"], written["val_images"]) == (8, 4)
    assert (written["steps"], written["steps_after_validation"]) == (13, 2)
    assert written["epochs"] == pytest.approx(13 / 11, abs=1e-5)
    assert written["seed"] == 7
    shown = [str(cell) for column in summary.table(metrics, tmp_path).columns for cell in column.cells]
    assert "by limit_test_batches=2" in shown
    assert "2 steps, which best.ckpt lacks" in shown
    assert "7" in shown
    assert any(cell.endswith("of 8 images") for cell in shown)
