from __future__ import annotations

import json

import pytest
import torch
from benchmarks.textbook import TextbookDigits

from benchmarks import training
from pixelcnn_lit.data.quantise import quantise

TINY = ["model.n_res=1", "model.hidden=4", "data.levels=4", "data.batch_size=4", "data.source=torchvision"]


def run(mnist_dir, out):
    options = ["--rounds=1", "--steps=1", "--device=cpu", f"--out={out}"]
    training.main([*options, *TINY, f"data.dir={mnist_dir}"])
    return json.loads(out.read_text())


def test_both_ways_take_the_same_steps(mnist_dir, tmp_path):
    result = run(mnist_dir, tmp_path / "out.json")
    assert len(result["losses"]) == training.SAME_STEPS
    for ours, theirs in result["losses"]:
        assert ours == pytest.approx(theirs, rel=1e-5)
    assert result["losses"][0][0] != result["losses"][-1][0]
    assert result["rows"][0]["name"] == "textbook"
    assert result["rows"][0]["ratio"] == 1


def test_other_maths_fail(mnist_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(TextbookDigits, "quantise", lambda self, x: (x * 3).long())
    with pytest.raises(SystemExit, match="error: the losses of the same 10 steps differ by"):
        run(mnist_dir, tmp_path / "out.json")


@pytest.mark.parametrize("levels", [2, 4, 256])
def test_the_textbooks_levels_are_ours(levels):
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    levels_of_all = TextbookDigits(pixels, levels)[0][1]
    assert torch.equal(levels_of_all, torch.from_numpy(quantise(pixels.numpy(), levels))[0].long())
