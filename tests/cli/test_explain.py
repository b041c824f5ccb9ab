"""Maps of what each pixel costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.process import fails, forked, succeeds
from pixelcnn_lit import load
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.storage.checkpoint import KEY, PREFIX, header, write


@pytest.fixture(scope="module")
def ckpt(trained):
    return trained[0] / "checkpoints" / "best.ckpt"


def test_the_most_surprising_images_are_explained(ckpt, mnist_dir, tmp_path):
    output = succeeds(forked("explain", f"ckpt={ckpt}", "n=3", "out=new/maps.png", cwd=tmp_path))
    data = ImageData(compose([f"data.dir={mnist_dir}", "data.levels=2"]).data, seed=0)
    images, density = data.split("test").images, load(ckpt)
    with torch.no_grad():
        bits_per_dim = density.bits_per_dim(images)
        numbers = bits_per_dim.argsort(descending=True)[:3]
        nats, entropy = density.nats(images[numbers]), density.entropy(images[numbers])
    found = np.load(tmp_path / "new" / "maps.npz")
    assert found["numbers"].tolist() == numbers.tolist()
    np.testing.assert_array_equal(found["levels"], images[numbers])
    np.testing.assert_allclose(found["bits"], nats[:, 0] / math.log(2), atol=1e-4)
    np.testing.assert_allclose(found["entropy"], entropy[:, 0] / math.log(2), atol=1e-4)
    for number in numbers.tolist():
        assert f"{bits_per_dim[number]:.4f}" in next(line for line in output.splitlines() if f"test {number} " in line)
    with Image.open(tmp_path / "new" / "maps.png") as picture:
        assert picture.height > 400


def test_ones_own_picture_is_explained(ckpt, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "me.png")
    output = succeeds(forked("explain", f"ckpt={ckpt}", "image=me.png", cwd=tmp_path))
    found = np.load(tmp_path / "explained.npz")
    assert found["names"].tolist() == ["me.png"]
    np.testing.assert_array_equal(found["levels"][0, 0], pixels >= 128)
    assert "me.png" in output


def test_a_model_in_colour_with_classes_and_a_context_is_explained(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(12) % 2, x_test=x[:4], y_test=np.arange(4) % 2)
    data = ["data=npz", f"data.path={tmp_path / 'x.npz'}", "data.image_shape=[3,6,5]", "data.levels=4"]
    model = ["data.n_classes=2", "model.n_classes=2", "model.n_res=1", "model.hidden=6", "context=grey"]
    config = compose([*data, *model])
    torch.manual_seed(0)
    weights = {PREFIX + key: weight for key, weight in build_density(config).state_dict().items()}
    write(tmp_path / "grey.ckpt", {KEY: header(config, ("a", "b")), "state_dict": weights})
    succeeds(forked("explain", "ckpt=grey.ckpt", "n=4", cwd=tmp_path))
    found = np.load(tmp_path / "explained.npz")
    assert found["bits"].shape == found["entropy"].shape == (4, 6, 5)
    assert 0 < found["entropy"].min() <= found["entropy"].max() <= 6
    Image.fromarray(x[0]).save(tmp_path / "me.png")
    succeeds(forked("explain", "ckpt=grey.ckpt", "image=[me.png,me.png]", cwd=tmp_path))
    assert np.load(tmp_path / "explained.npz")["bits"].shape == (2, 6, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("n=21", "n=21: the test split has 20 images"),
        ("n=65", "n=65: must be an integer from 1 to 64 or null"),
        ("out=maps.jpg", "out=maps.jpg: must end in .png"),
        ("image=none.png", "image=none.png: no such file"),
        ("image=none.png split=val", "split=val: chooses images of a data set, and none are read here; leave it out"),
        ("image=none.png data.dir=x", "data.dir=x: chooses images of a data set"),
        ("image=none.png n=2", "n=2: counts images of the split; leave it out with image="),
    ],
)
def test_what_cannot_be_explained_is_one_line(ckpt, tmp_path, arguments, message):
    fails(forked("explain", f"ckpt={ckpt}", *arguments.split(), cwd=tmp_path), message)
