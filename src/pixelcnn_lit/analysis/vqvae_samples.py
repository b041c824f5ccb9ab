"""Samples of a trained VQ-VAE-2: codes are drawn from the priors, and decoded."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.labels import classes_to_draw
from pixelcnn_lit.analysis.progress import in_batches
from pixelcnn_lit.config import SampleConfig
from pixelcnn_lit.device import pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.stages import load_vqvae


def draw_from_codes(config: SampleConfig, n: int) -> tuple[Tensor, pictures.Picture]:
    """Draw n images, or with label=each about n. Return the levels and a grid.

    Raises UserError for what only a density of images can do.
    """
    for key in ("occlude", "mask", "image", "given", "size"):
        if getattr(config, key) is not None:
            raise UserError(f"{key}: only for a density of images; {config.ckpt} draws images through codes")
    if config.gif:
        raise UserError(f"gif=true: only for a density of images; {config.ckpt} draws images through codes")
    vq = load_vqvae(config.ckpt).to(pick_device(config.device))
    y = classes_to_draw(config, vq.knows_classes, n)

    def drawn(part: slice, **how: Any) -> Tensor:
        return vq.sample(part.stop - part.start, **how)

    x = in_batches(config, n if y is None else len(y), y, "samples", drawn)
    scale = config.scale or pictures.default_scale(x.shape[3])
    rows = vq.n_classes if config.label == "each" else None
    return x, pictures.sample_grid(x, vq.levels, scale, rows, vq.knows_classes.class_names if rows else ())
