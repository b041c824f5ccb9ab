"""A data set from outside the package: stripes, upright, flat or slanted, made from a seed and never stored.

A data set is a function from its section of the config to three splits. All else is done for it: levels or
binarisation, batches, labels, checks of the sizes, a place in every command. ``plugins=[stripes]`` names it.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from pixelcnn_lit import register_data
from pixelcnn_lit.config import DataConfig
from pixelcnn_lit.data.splits import Split, Splits, in_three

DIRECTIONS = 3
"""The classes: 0 upright, 1 flat, 2 slanted."""


class StripesData(DataConfig):
    """conf/data/stripes.yaml: each key, its type and its range."""

    n_images: Annotated[int, Field(ge=10, le=1_000_000)]
    noise: Annotated[float, Field(ge=0, le=1)]


def load(config: StripesData) -> Splits:
    """Draw the images, the same ones for the same config.

    Intensities are uint8 in 0..255, (N, C, H, W); labels are int64 in 0..2, (N,). The channels of a pixel differ by
    noise alone.
    """
    rng = np.random.default_rng(config.split_seed)
    n, (channels, height, width) = config.n_images, config.image_shape
    labels = rng.integers(DIRECTIONS, size=n)
    rows, columns = np.mgrid[:height, :width]
    across = np.stack([columns, rows, rows + columns])[labels]  # (N, H, W): how far a pixel is across the stripes
    period = rng.uniform(4, 8, size=(n, 1, 1))  # in pixels
    phase = rng.uniform(0, 1, size=(n, 1, 1))
    bright = np.sin(2 * np.pi * (across / period + phase)) > 0
    images = np.repeat(255.0 * bright[:, None], channels, axis=1)
    images += config.noise * 255 * rng.normal(size=images.shape)
    whole = Split(images.clip(0, 255).astype(np.uint8), labels.astype(np.int64))
    return in_three(whole, config.split_seed, source="stripes", n_classes=DIRECTIONS, where="data=stripes")


register_data("stripes", load, StripesData)
