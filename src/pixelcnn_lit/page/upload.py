"""A visitor's picture as a model reads it."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import torch
from torch import Tensor

from pixelcnn_lit.data.folder import decode
from pixelcnn_lit.data.images import OWN, as_levels
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page.answers import readable
from pixelcnn_lit.page.models import Model

HEIGHT = 280
"""Pixels of the screen for a picture of any size."""


def picture_knob() -> gr.Image:
    """Where a picture is put."""
    picture = gr.Image(
        label="Picture: PNG or JPEG",
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        buttons=[],
        height=HEIGHT,
    )
    readable(picture)
    return picture


def swap_knob() -> gr.Checkbox:
    """Whether a picture is of dark ink."""
    return gr.Checkbox(False, label="Swap black and white (for dark ink on white paper)")


def levels_of(path: str | None, model: Model, *, inverted: bool) -> tuple[Tensor, str]:
    """The picture as levels (1, C, H, W), and a sentence that says how it was changed.

    Raises UserError if there is none, or it cannot be read.
    """
    if path is None:
        raise UserError("no picture yet: upload a PNG or JPEG file, or paste one")
    data = model.trained.data
    try:
        image = decode(Path(path), data.image_shape)
    except UserError as error:
        raise UserError(str(error).replace(f"{path}:", "this picture")) from error
    pixels = (255 - image.pixels if inverted else image.pixels)[None]
    rows, columns = image.size
    changed = "" if image.size == data.image_shape[1:] else f"{columns}x{rows} pixels; its middle is resized."
    white = " Its transparent pixels became white." if image.transparent else ""
    return torch.from_numpy(as_levels(pixels, data, OWN)), changed + white
