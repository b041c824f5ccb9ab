"""The pictures that completions and answers are given: of a split, or the user's own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pixelcnn_lit.config import ExplainConfig, SampleConfig, TrainConfig
from pixelcnn_lit.data.contexts import context_of
from pixelcnn_lit.data.folder import MODES, Decoded, decode
from pixelcnn_lit.data.images import OWN, Batch, ImageData, as_levels, given
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say


def of_split(config: SampleConfig, trained: TrainConfig, n: int, key: str) -> Batch:
    """The first n images of the split, and their contexts. Their classes are not asked for.

    Raises UserError, which names ``key``, if there are fewer.
    """
    chosen = config.data.instead_of(trained.data, n_classes=0)
    images = ImageData(chosen, trained.seed, context=trained.context).split(config.split)
    if n > len(images):
        raise UserError(f"{key}={n}: the {config.split} split has {len(images)} images")
    return images[slice(n)]


def refuse_choice(config: SampleConfig | ExplainConfig) -> None:
    """Raise UserError for keys that choose images of a data set, where none are read."""
    chosen = {"split": config.split} if config.split != "test" else {}
    for key, value in (chosen | config.data.asked).items():
        raise UserError(f"{key}={value}: chooses images of a data set, and none are read here; leave it out")


def own_batch(paths: Sequence[str], trained: TrainConfig) -> Batch:
    """The user's own pictures, cut and resized as a folder of images is, and their contexts.

    Raises UserError if one cannot be read, or the model is one of codes.
    """
    refuse_codes(paths, trained)
    shape = trained.data.image_shape
    images = [own_image(path, shape) for path in paths]
    for path, image in zip(paths, images, strict=True):
        tell_changes(path, image, shape)
    x = torch.from_numpy(as_levels(np.stack([image.pixels for image in images]), trained.data, OWN))
    return given(x, torch.zeros(len(x)).long(), context_of(trained.context, trained.data.levels))


def refuse_codes(paths: Sequence[str], trained: TrainConfig) -> None:
    """Raise UserError if the images of the model are codes: a picture is none."""
    if trained.data.holds_levels:
        raise UserError(f"image={paths[0]}: the images of this model are codes, not pictures")


def own_image(path: str, shape: tuple[int, int, int]) -> Decoded:
    """The user's own picture, cut and resized to ``shape`` (C, H, W).

    Raises UserError if it cannot be read, or for images that are neither grey nor in colour.
    """
    channels = shape[0]
    if channels not in MODES:
        raise UserError(f"image={path}: the model's images have {channels} channels; pictures of 1 or 3 are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return decode(Path(path), shape)
    except UserError as error:
        raise UserError(f"image={error}") from error


def tell_changes(path: str, image: Decoded, shape: tuple[int, int, int]) -> None:
    """A line for each thing that was changed to make the user's picture one of ``shape`` (C, H, W)."""
    _, height, width = shape
    if image.transparent:
        say(f"image={path}: its transparent pixels become white")
    if image.size != (height, width):
        (rows, columns), part = image.size, "square" if height == width else f"part of the form {width}x{height}"
        say(f"image={path}: {columns}x{rows} pixels; the {part} in its middle is resized to {width}x{height}")


def picture_size(path: str) -> tuple[int, int] | None:
    """The (height, width) of a picture from its header; None if it cannot be read."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return image.height, image.width
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
