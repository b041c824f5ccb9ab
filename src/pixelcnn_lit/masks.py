"""Masks for completions: which pixels of an image are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pixelcnn_lit.config.types import Occlusion
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.holes import random_known
from pixelcnn_lit.storage.files import check_file

FORMATS = ("PNG", "BMP", "GIF", "JPEG", "PPM", "TIFF", "WEBP")
"""Image formats that are only data. Pillow starts other programs to read some formats, such as EPS."""

LOSSY = ("JPEG", "WEBP")
"""Formats in which black is not quite 0, so that a pixel of 1 means nothing."""
WHITES = (1, 255, 65535)
"""What white may be in a mask: of 0 and 1, of 8 bits, of 16 bits."""


def visible_beside(occluded: Occlusion, height: int, width: int, seed: int = 0) -> Tensor:
    """A mask in which one part of the image is unknown: (H, W) bool, True where known.

    ``seed`` is for "random", in which some pixels are known and some are not, if there are several.

    >>> from pixelcnn_lit.masks import visible_beside
    >>> visible_beside("bottom", 4, 3).int()
    tensor([[1, 1, 1],
            [1, 1, 1],
            [0, 0, 0],
            [0, 0, 0]], dtype=torch.int32)
    """
    if occluded == "random":
        return _random_known(height, width, torch.Generator().manual_seed(seed))
    known = torch.ones(height, width, dtype=torch.bool)
    rows, columns = slice(None), slice(None)
    if occluded == "bottom":
        rows = slice(height // 2, None)
    elif occluded == "top":
        rows = slice(height - height // 2)
    elif occluded == "left":
        columns = slice(width - width // 2)
    elif occluded == "right":
        columns = slice(width // 2, None)
    else:
        rows, columns = (slice(length // 4, length - length // 4) for length in (height, width))
    known[rows, columns] = False
    return known


def _random_known(height: int, width: int, generator: torch.Generator) -> Tensor:
    known = random_known(1, height, width, generator)[0]
    while height * width > 1 and (known.all() or not known.any()):
        known = random_known(1, height, width, generator)[0]
    return known


def read_mask(path: str | Path, height: int, width: int) -> Tensor:
    """Read a mask image: (H, W) bool. Bright pixels are known; dark or transparent pixels are to be drawn.

    Bright is the upper half of what the image can hold: 128 and above in 8 bits, and 1 in an image of 0 and 1.

    Raises UserError that names the file if it cannot be read, has another size, all or none of its pixels are known, or
    brightness and transparency say different things. The size is checked before decoding.

    >>> import tempfile
    >>> from PIL import Image
    >>> picture = Image.new("L", (3, 2), 255)
    >>> picture.putpixel((1, 0), 0)
    >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
    ...     picture.save(file, "PNG")
    ...     file.flush()
    ...     read_mask(file.name, height=2, width=3)
    tensor([[ True, False,  True],
            [ True,  True,  True]])
    """
    check_file("mask", path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.size != (width, height):
                size = f"{image.size[0]}x{image.size[1]}"
                raise UserError(f"mask={path}: {size} pixels; the images are {width}x{height}")
            known = _known(image, f"mask={path}")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"mask={path}: cannot be read as an image ({', '.join(FORMATS)})") from error
    if not known.any():
        raise UserError(f"mask={path}: no pixel is known, since none is bright; without a mask, whole images are drawn")
    if known.all():
        raise UserError(f"mask={path}: all pixels are known; those to be drawn must be dark or transparent")
    return torch.from_numpy(known)


def _known(image: Image.Image, where: str) -> NDArray[np.bool_]:
    bright, visible = _bright(image), np.ones(image.size[::-1], dtype=bool)
    if image.has_transparency_data:
        visible = np.asarray(image.convert("RGBA"))[..., 3] >= 128
    if visible.all():
        return bright
    if bright[visible].all():
        return visible
    raise UserError(
        f"{where}: has dark pixels and transparent ones, so it is not clear which are to be drawn; "
        "take black and white without transparency, or transparency in a white image"
    )


def _bright(image: Image.Image) -> NDArray[np.bool_]:
    deep = image.mode.startswith(("I", "F"))  # more than 8 bits, which Pillow would cut off at 255
    grey = image if deep else image.convert("RGBA" if image.has_transparency_data else "RGB").convert("L")
    values = np.asarray(grey)
    whites = WHITES[1:] if image.format in LOSSY else WHITES
    return values > next((white for white in whites if values.max() <= white), values.max()) / 2
