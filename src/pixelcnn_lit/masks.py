"""Which pixels of an image are known, for completions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixelcnn_lit.errors import UserError

FORMATS = ("PNG", "BMP", "GIF", "JPEG", "PPM", "TIFF", "WEBP")
"""Kinds of images that are nothing but data: to read others, such as EPS, starts programs."""

Side = Literal["bottom", "top", "left", "right"]


def half_known(occluded: Side, height: int, width: int) -> Tensor:
    """All pixels but those of the occluded half: (H, W) bool, True where known."""
    known = torch.ones(height, width, dtype=torch.bool)
    rows, columns = slice(None), slice(None)
    if occluded == "bottom":
        rows = slice(height // 2, None)
    elif occluded == "top":
        rows = slice(height - height // 2)
    elif occluded == "left":
        columns = slice(width - width // 2)
    else:
        columns = slice(width // 2, None)
    known[rows, columns] = False
    return known


def read_mask(path: str | Path, height: int, width: int) -> Tensor:
    """A mask image of exactly (H, W): bright pixels are known, dark ones (below 128) are to be drawn.

    Raises UserError that names the file if it can't be read or has another size, which is known before it is decoded.
    """
    check_mask(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.size != (width, height):
                size = f"{image.size[0]}x{image.size[1]}"
                raise UserError(f"mask={path}: {size} pixels; the images are {width}x{height}")
            return torch.from_numpy(np.asarray(image.convert("L")) >= 128)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"mask={path}: cannot be read as an image ({', '.join(FORMATS)})") from error


def check_mask(path: str | Path) -> None:
    """Raise UserError unless there is a file."""
    if not os.path.isfile(path):  # noqa: PTH113
        raise UserError(f"mask={path}: {'a folder' if os.path.isdir(path) else 'no such file'}")  # noqa: PTH112


def unusable(known: Tensor) -> int:
    """How many known pixels of (H, W) come after an unknown one in raster order, so that they cannot condition it."""
    flat = known.flatten()
    return int(flat[(~flat).cumsum(0) > 0].sum())
