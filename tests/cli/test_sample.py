from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from helpers.process import forked, succeeds
from pixelcnn_lit import load
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.images import ImageData


def test_samples_are_those_of_the_model_whatever_the_batches_and_processes(trained, tmp_path):
    run, _ = trained
    ckpt = run / "checkpoints" / "best.ckpt"
    arguments = [f"ckpt={ckpt}", "n=10", "seed=3", "batch_size=4", "workers=2", "out=pictures/grid.png", "gif=true"]
    output = succeeds(forked("sample", *arguments, cwd=tmp_path))
    assert "10 samples by 2 processes" in output
    levels = np.load(tmp_path / "pictures" / "grid.npy")
    np.testing.assert_array_equal(levels, load(ckpt).sample(10, seed=3).numpy())
    with Image.open(tmp_path / "pictures" / "grid.png") as image:
        assert image.width > 800
    with Image.open(tmp_path / "pictures" / "grid.gif") as film:
        assert film.n_frames == 29


@pytest.mark.parametrize("occlude", ["bottom", "left"])
def test_completions_keep_the_known_pixels(trained, tmp_path, mnist_dir, occlude):
    run, _ = trained
    ckpt = f"ckpt={run / 'checkpoints' / 'best.ckpt'}"
    output = succeeds(forked("sample", ckpt, f"occlude={occlude}", "n=5", "gif=true", cwd=tmp_path))
    with Image.open(tmp_path / "samples.gif") as film:
        assert film.n_frames == (15 if occlude == "bottom" else 29)
    data = ImageData(compose([f"data.dir={mnist_dir}", "data.source=torchvision", "data.levels=2"]).data, seed=0)
    original = data.split("test").images[:5].numpy()
    completed = np.load(tmp_path / "samples.npy")
    known = np.s_[..., :14, :] if occlude == "bottom" else np.s_[..., 14:]
    np.testing.assert_array_equal(completed[known], original[known])
    assert (completed != original).any()
    assert ("cannot condition" in output) == (occlude == "left")


def test_a_mask_image_says_what_is_known(trained, tmp_path):
    run, _ = trained
    mask = np.full((28, 28), 255, dtype=np.uint8)
    mask[20:, :] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    ckpt = f"ckpt={run / 'checkpoints' / 'best.ckpt'}"
    output = succeeds(forked("sample", ckpt, "mask=mask.png", "n=2", cwd=tmp_path))
    assert "mask=mask.png: 560 of 784 pixels are known" in output
    assert np.load(tmp_path / "samples.npy").shape == (2, 1, 28, 28)
