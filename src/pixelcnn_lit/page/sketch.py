"""What a visitor sketched, uploaded and hid, as levels and a mask for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from pixelcnn_lit.config import DataConfig
from pixelcnn_lit.config.types import Occlusion
from pixelcnn_lit.data.folder import fitted
from pixelcnn_lit.data.images import OWN, as_levels
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.masks import visible_beside
from pixelcnn_lit.pictures import HIDDEN

Part = Literal["below", "none"] | Occlusion
"""What is hidden beside the blue pixels: the end of the drawing and all below, nothing, or a half."""

SOLID = 128
"""Paint of at least this opacity, of 255, covers what is below it."""
LIFTED = 2
"""So many rows at the end of a drawing, where the pen was lifted, are hidden with all below: a stroke ends in them."""
NEAR = 90
"""Paint whose R, G and B differ from the hiding colour by less than this in all hides."""


@dataclass(frozen=True)
class Sketch:
    """Levels ``x`` (1, C, H, W), and which of the pixels are ``known``, (H, W) bool."""

    x: Tensor
    known: Tensor


def read(
    background: Image.Image | None, layers: Sequence[Image.Image], data: DataConfig, part: Part, *, inverted: bool
) -> Sketch:
    """A picture with layers of paint over it, in the size and the levels of ``data``; ``part`` of it is hidden too.

    Paint in the colour :data:`~pixelcnn_lit.pictures.HIDDEN` hides what is below it; other paint is part of the
    picture. The middle of the images' form is cut out and resized; a pixel is hidden if half of it is. ``inverted``
    swaps black and white: digits are bright on dark. Without a background it is black.

    Raises UserError if nothing is hidden, or all is black.
    """
    canvas, ink, hidden = _flat(background, layers)
    shape, size = data.image_shape, (data.image_shape[2], data.image_shape[1])
    pixels = fitted(canvas, shape)
    x = as_levels((255 - pixels if inverted else pixels)[None], data, OWN)
    known = torch.from_numpy(~_shrunk(hidden, size))
    if part == "below":
        known[_end(_shrunk(ink & ~hidden, size)) :] = False
    elif part != "none":
        known &= visible_beside(part, *shape[1:])
    if known.all():
        raise UserError("nothing is hidden: choose a part to hide, or paint over one with the blue brush")
    if canvas.getbbox() is None and not hidden.any():
        # Gradio loses a picture that is uploaded while the page still loads, although it shows it.
        raise UserError("the canvas is empty: sketch on it, or upload a picture; if there is one, upload it once more")
    return Sketch(torch.from_numpy(x), known)


def _flat(
    background: Image.Image | None, layers: Sequence[Image.Image]
) -> tuple[Image.Image, NDArray[np.bool_], NDArray[np.bool_]]:
    """The picture with its paint in RGB, where there is paint that shows, (H, W), and where paint hides, (H, W)."""
    size = background.size if background is not None else layers[0].size if layers else (1, 1)
    canvas = Image.new("RGBA", size, "black")
    if background is not None:
        canvas.alpha_composite(background.convert("RGBA"))
    ink, hidden = np.zeros(size[::-1], dtype=bool), np.zeros(size[::-1], dtype=bool)
    for layer in layers:
        paint = layer.convert("RGBA")
        if paint.size != size:
            paint = paint.resize(size)
        pixels = np.asarray(paint).astype(np.int16)
        solid = pixels[..., 3] >= SOLID
        hides = np.abs(pixels[..., :3] - np.array(HIDDEN)).sum(-1) < NEAR
        hidden = np.where(solid, hides, hidden)
        ink = np.where(solid, ~hides, ink)
        canvas.alpha_composite(paint)
    return canvas.convert("RGB"), ink, hidden


def _shrunk(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask cut and resized as a picture is: true where half of a pixel is."""
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(ImageOps.fit(grey, size, Image.Resampling.BOX)) >= SOLID


def _end(ink: NDArray[np.bool_]) -> int:
    """The row in which the pen was lifted."""
    rows = np.flatnonzero(ink.any(1))
    if not len(rows):
        raise UserError("nothing is drawn yet: sketch the upper part of a digit, or choose another part to hide")
    return max(0, int(rows[-1]) + 1 - LIFTED)
