"""Contexts are functions of the levels of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn_lit.config import compose
from pixelcnn_lit.data.contexts import context_of
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.errors import UserError


def test_grey_is_the_brightness_that_pillow_gives():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    config = compose(["data=cifar10", "context=grey", "data.levels=256"])
    grey = context_of(config.context, 256)(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    expected = np.asarray(Image.fromarray(pixels).convert("L"), dtype=int)
    assert np.abs(np.rint(grey[0, 0].numpy() * 255) - expected).max() <= 1  # Pillow rounds in another way
    assert torch.equal(grey * 255, (grey * 255).round())


@pytest.mark.parametrize("levels", [2, 4, 256])
def test_small_is_the_mean_of_each_block_in_256_steps(levels):
    x = torch.randint(0, levels, (3, 2, 8, 4), dtype=torch.uint8)
    config = compose(["data=npz", "data.path=x.npz", "data.image_shape=[2,8,4]", "context=small"])
    small = context_of(config.context, levels)(x)
    assert small.shape == (3, 2, 2, 1)
    mean = x[1, 1, 4:8, 0:4].double().mean() / (levels - 1)
    assert abs(float(small[1, 1, 1, 0]) - float(mean)) <= 0.5 / 255 + 1e-6


def test_batches_have_a_context_only_if_it_is_asked_for():
    config = compose(["data=digits", "context=small"])
    for context, parts in ((config.context, 3), (None, 2)):
        data = ImageData(config.data, 0, context=context)
        assert len(next(iter(data.loader("train", shuffle=True)))) == len(data.split("val")[:5]) == parts
    x, _, context = ImageData(config.data, 0, context=config.context).split("test")[:5]
    assert context.shape == (5, 1, 7, 7)
    assert torch.equal(context_of(config.context, config.data.levels)(x), context)


def test_binarised_images_that_are_drawn_anew_have_their_own_context():
    config = compose(["data=digits", "data.levels=2", "data.binarize=dynamic", "context=small"])
    data = ImageData(config.data, 0, context=config.context)
    x, _, context = next(iter(data.loader("train", shuffle=True)))
    assert torch.equal(context_of(config.context, 2)(x), context)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["context=grey"], "context=grey: needs images of 3 channels"),
        (["context=small", "context.factor=5"], "context.factor=5: must divide both sides"),
        (["context=small", "context.factor=1"], "context.factor=1: must be an integer from 2 to 64"),
        (["context.factor=2"], "context"),
    ],
)
def test_a_context_that_the_images_cannot_have_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        compose(["data=digits", *overrides])
