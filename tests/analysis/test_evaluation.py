from __future__ import annotations

import sys

import numpy as np
import pytest

from helpers.builders import write_checkpoint
from pixelcnn_lit import build
from pixelcnn_lit.analysis import evaluation
from pixelcnn_lit.evaluate import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model of binarised images with classes and a context, of which everything can be asked."""
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x_train=images, y_train=np.arange(12) % 2, x_test=images, y_test=np.arange(12) % 2)
    overrides = ["data=npz", f"data.path={tmp_path / 'x.npz'}", "data.image_shape=[1,8,8]", "data.n_classes=2"]
    overrides += ["data.levels=2", "data.binarize=dynamic", "model.n_res=0", "model.hidden=2", "model.n_classes=2"]
    overrides += ["context=small"]
    write_checkpoint(tmp_path / "best.ckpt", build(overrides), overrides, ("0", "1"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("step", "asked"),
    [
        ("score", "n=3"),
        ("score_hidden", "occlude=left"),
        ("score_beside", "beside=best.ckpt"),
        ("redrawn", "binarisations=2"),
        ("with_noise", "noise=[0.1]"),
    ],
)
def test_whatever_has_no_room_names_the_batch_size(here, monkeypatch, capfd, step, asked):
    def full(*_arguments, **_keywords):
        raise MemoryError

    monkeypatch.setattr(evaluation, step, full)
    monkeypatch.setattr(sys, "argv", ["evaluate", "ckpt=best.ckpt", "batch_size=4", asked])
    with pytest.raises(SystemExit):
        main()
    error = capfd.readouterr().err
    assert error == "error: batch_size=4: the computer has not enough memory. Try a smaller batch\n"
