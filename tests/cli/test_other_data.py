"""A trained model on images that it was not trained on: another data set, or a picture of the user's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import write_mnist
from helpers.process import fails, forked, succeeds
from pixelcnn_lit import load
from pixelcnn_lit.data.idx import read_idx
from pixelcnn_lit.data.quantise import quantise


@pytest.fixture(scope="module")
def ckpt(trained):
    return trained[0] / "checkpoints" / "best.ckpt"


def test_another_data_set_is_scored_in_the_levels_of_the_checkpoint(ckpt, tmp_path):
    write_mnist(tmp_path / "other", test=9, name="FashionMNIST")
    chosen = ["data=fashion_mnist", "data.dir=other", "out=log_probs.npy"]
    output = succeeds(forked("evaluate", f"ckpt={ckpt}", *chosen, cwd=tmp_path))
    images = read_idx(tmp_path / "other" / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte", 3)
    density = load(ckpt)
    expected = density.log_prob(density_input(images, density.levels)).detach().numpy()
    np.testing.assert_allclose(np.load(tmp_path / "log_probs.npy"), expected, rtol=1e-5)
    assert f"{-expected.astype(float).mean() / (784 * math.log(2)):.4f}" in output
    assert "fashion_mnist (torchvision), 2 levels" in output
    assert "trained on" in output


def density_input(images, levels):
    return torch.from_numpy(quantise(images, levels))[:, None]


def test_arrays_are_other_data_too_and_another_shape_is_one_line(ckpt, tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("good", 28), ("small", 8)):
        x_train, x_test = (rng.integers(0, 256, (n, size, size), dtype=np.uint8) for n in (12, 3))
        np.savez(tmp_path / f"{name}.npz", x_train=x_train, x_test=x_test)
    output = succeeds(forked("evaluate", f"ckpt={ckpt}", "data=npz", "data.path=good.npz", cwd=tmp_path))
    assert "npz (good.npz), 2 levels" in output
    fails(forked("evaluate", f"ckpt={ckpt}", "data=npz", "data.path=small.npz", cwd=tmp_path), "images are [1, 8, 8]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("data=fashion_mnist data.levels=4", "data.levels=4: the checkpoint has 2, which cannot be changed here"),
        ("data.split_seed=1", "data.split_seed=1: the checkpoint has 0"),
        ("data=npz", "data.path: missing; must be a text"),
        ("data=fashion_mnist data.path=x", "data.path=x: data=fashion_mnist has no such key but source, dir"),
        ("data=fashion_mnist data.size=8", "data.size=8: data=fashion_mnist has no such key"),
        ("data=nothing", "Could not find 'data/nothing'"),
    ],
)
def test_what_contradicts_the_checkpoint_is_refused(ckpt, tmp_path, arguments, message):
    fails(forked("evaluate", f"ckpt={ckpt}", *arguments.split(), cwd=tmp_path), message)


def test_ones_own_picture_is_completed_n_times(ckpt, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "me.png")
    Image.fromarray(pixels.repeat(2, 0).repeat(3, 1)).save(tmp_path / "wide.png")
    arguments = [f"ckpt={ckpt}", "image=[me.png,wide.png]", "occlude=bottom", "n=3", "batch_size=4", "scale=1"]
    output = succeeds(forked("sample", *arguments, cwd=tmp_path))
    completed, given = np.load(tmp_path / "samples.npy"), quantise(pixels, 2)
    assert completed.shape == (6, 1, 28, 28)
    np.testing.assert_array_equal(completed[:3, 0, :14], given[:14][None].repeat(3, 0))
    assert len({image.tobytes() for image in completed[:3]}) == 3
    assert "image=wide.png: 84x56 pixels; the square in its middle is resized to 28x28" in output
    assert "me.png: 28x28" not in output
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.size == (5 * 29 + 1, 2 * 29 + 1)


def test_a_picture_that_cannot_be_completed_is_named(ckpt, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (28, 28)).save(tmp_path / "me.png")
    Image.new("1", (10000, 9000)).save(tmp_path / "huge.png")
    for arguments, message in (
        ("image=me.png", "image=me.png: give occlude=bottom or mask=FILE too"),
        ("image=none.png occlude=top", "image=none.png: no such file"),
        ("image=[] occlude=top", "image"),
        ("image=huge.png occlude=top", "image=huge.png: has more than"),
        ("image=text.png occlude=top", "image=text.png: cannot be read as a PNG or JPEG image"),
    ):
        fails(forked("sample", f"ckpt={ckpt}", *arguments.split(), cwd=tmp_path), message)
