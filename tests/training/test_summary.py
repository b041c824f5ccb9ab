from __future__ import annotations

import csv
import json
import math

import pytest
import torch

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


def test_the_images_of_a_validation_that_comes_at_the_end_alone_are_counted(mnist_dir, tmp_path):
    options = ["trainer.max_steps=3", "trainer.check_val_every_n_epoch=100"]
    run = Run(compose([*TINY, f"data.dir={mnist_dir}", *options]), tmp_path)
    run.fit()
    run.conclude()
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["val/bits_per_dim"] > 0
    assert written["val_images"] == 4


def test_the_metrics_say_what_was_left_out_and_a_validation_comes_after_the_last_step(mnist_dir, tmp_path, capsys):
    options = ["trainer.limit_test_batches=2", "trainer.max_steps=13", "trainer.check_val_every_n_epoch=1", "seed=7"]
    run = Run(compose([*TINY, f"data.dir={mnist_dir}", *options]), tmp_path)
    run.fit()
    metrics = run.conclude()
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["limits"] == {"limit_test_batches": 2}
    assert (written["test_images"], written["val_images"]) == (8, 4)
    assert written["steps"] == 13
    said = capsys.readouterr().out.splitlines()
    lines = [line for line in said if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert ["val" in line for line in lines] == [True, False]  # the second would be that of step 11
    curve = list(csv.DictReader((tmp_path / "validation.csv").open()))
    assert [row["steps"] for row in curve] == ["11", "13"]
    assert f"step 13: val {float(curve[1]['bits_per_dim']):.4f} bits/dim" in said
    best = min(curve, key=lambda row: float(row["bits_per_dim"]))
    assert written["val/bits_per_dim"] == pytest.approx(float(best["bits_per_dim"]), abs=1e-6)
    assert torch.load(tmp_path / "checkpoints/best.ckpt")["global_step"] == int(best["steps"])
    assert written["epochs"] == pytest.approx(13 / 11, abs=1e-5)
    assert written["seed"] == 7
    shown = [str(cell) for column in summary.table(metrics, tmp_path).columns for cell in column.cells]
    assert "by limit_test_batches=2" in shown
    assert "7" in shown
    assert any(cell.endswith("of 8 images") for cell in shown)
