"""Ours and the textbook's in the same seconds, by the same figures."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest
import torch
from benchmarks.textbook import TextbookPixelCNN

from benchmarks import kept, quality, textbook_run
from helpers.builders import all_images
from helpers.process import python
from pixelcnn_lit.reporting.collect import validations
from pixelcnn_lit.scores import BITS

TINY = ["model.n_res=1", "model.hidden=4", "data.levels=4", "data.batch_size=2", "data.source=torchvision", "seed=5"]


def written(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """The commands are run as they are, by forks of a process that has imported torch."""
    here = Path(quality.__file__).parents[1]
    monkeypatch.setattr(subprocess, "run", lambda command, **_: python(*command[1:], cwd=tmp_path, path=(here,)))


@pytest.mark.usefixtures("quick")
def test_both_are_measured_on_the_same_images_and_leave_what_can_be_kept(mnist_dir, tmp_path, capfd):
    told = [*TINY, f"data.dir={mnist_dir}", "trainer=cpu", "trainer.max_epochs=1", "trainer.limit_val_batches=0.5"]
    quality.main([f"--out={tmp_path / 'out'}", *told, "trainer.limit_test_batches=2", "logger=none"])
    ours, theirs = (written(tmp_path / "out" / name) for name in ("ours", "textbook"))
    for key in ("data", "source", "levels", "binarize", "test_images", "val_images", "seed", "machine", "threads"):
        assert ours[key] == theirs[key], key
    assert (theirs["model"], theirs["val_images"], theirs["test_images"]) == ("textbook", 2, 4)
    assert theirs["train_seconds"] >= 1
    kept.keep(tmp_path / "out" / "textbook", "theirs", tmp_path / "kept", replace=False)
    run = kept.kept_runs(tmp_path / "kept")["theirs"]
    assert run.metrics["command"].startswith("python -m benchmarks.textbook_run --seconds=1 --validations=1 ")
    assert (tmp_path / "out" / "quality.svg").read_text().startswith("<?xml")
    shown = capfd.readouterr().out
    assert f"{theirs['test/bits_per_dim']:.4f}" in shown
    assert "the textbook's best validation, " in shown


def test_the_textbook_validates_in_equal_parts_and_tests_its_best_weights(mnist_dir, tmp_path):
    (tmp_path / "validation.csv").write_text("of an older run")
    options = ["--seconds=1", "--validations=4", "--val-images=3", "--device=cpu", f"--out={tmp_path}"]
    textbook_run.main([*options, *TINY, f"data.dir={mnist_dir}"])
    metrics, curve = written(tmp_path), validations(tmp_path)
    assert (metrics["val_images"], metrics["test_images"]) == (3, 20)
    assert 1 <= len(curve) <= 4
    assert curve[-1]["steps"] == metrics["steps"]
    assert curve[-1]["seconds"] == pytest.approx(metrics["train_seconds"], abs=0.06)
    assert min(row[BITS.name] for row in curve) == pytest.approx(metrics[BITS.val], abs=1e-6)
    assert 0 < metrics[BITS.test] < 2


def test_the_bits_of_the_textbook_are_those_of_a_distribution():
    torch.manual_seed(0)
    network = TextbookPixelCNN(2, n_res=1, hidden=3, kernel_size=3, first_kernel_size=3)
    bits = [textbook_run.bits_per_dim(network, x[None], 2, "cpu") for x in all_images(2, (1, 2, 3))]
    assert sum(2 ** (-6 * each) for each in bits) == pytest.approx(1, abs=1e-5)
    everything = textbook_run.bits_per_dim(network, all_images(2, (1, 2, 3)), 2, "cpu")
    assert everything == pytest.approx(math.fsum(bits) / len(bits), abs=1e-6)


@pytest.mark.parametrize("changed", ["model=gated_pixelcnn", "data=cifar10", "likelihood=logistic_mixture"])
def test_what_the_textbook_does_not_have_is_refused_before_any_training(tmp_path, changed, capsys):
    with pytest.raises(SystemExit):
        quality.main([f"--out={tmp_path / 'out'}", changed])
    assert "error: the textbook's network is model=pixelcnn" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
