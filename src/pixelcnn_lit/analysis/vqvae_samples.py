"""Samples of a trained VQ-VAE-2: codes are drawn from the priors, and decoded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.given import refuse_choice
from pixelcnn_lit.analysis.labels import classes_to_draw, grid_of
from pixelcnn_lit.analysis.progress import in_batches
from pixelcnn_lit.autoencoder.autoencoder import Codes
from pixelcnn_lit.config import SampleConfig
from pixelcnn_lit.device import pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.stages import load_vqvae
from pixelcnn_lit.vqvae_model import VQVAE


def draw_from_codes(config: SampleConfig, n: int) -> tuple[Tensor, pictures.Picture]:
    """Draw n images, or with label=each about n. Return the levels and a grid.

    Raises UserError for what only a density of images can do.
    """
    for key in ("occlude", "mask", "image", "given", "size"):
        if getattr(config, key) is not None:
            raise UserError(f"{key}: only for a density of images; {config.ckpt} draws images through codes")
    if config.precision != "float32":
        raise UserError(f"precision={config.precision}: only for a density of images; {config.ckpt} is in float32")
    refuse_choice(config)
    if config.gif:
        raise UserError(f"gif=true: only for a density of images; {config.ckpt} draws images through codes")
    vq = load_vqvae(config.ckpt).to(pick_device(config.device))
    y = classes_to_draw(config, vq.knows_classes, n)

    def drawn(part: slice, **how: Any) -> Tensor:
        return torch.cat([codes.flatten(1) for codes in vq.sample_codes(part.stop - part.start, **how)], dim=1)

    # Here, in these batches, whoever drew the codes: what a decoder rounds may depend on its batch.
    codes = in_batches(config, n if y is None else len(y), y, "samples", drawn).to(vq.autoencoder.device)
    x = torch.cat([vq.decode(_unflattened(batch, vq)).cpu() for batch in codes.split(config.batch_size)])
    return x, grid_of(config, x, vq.knows_classes, vq.levels)


def _unflattened(codes: Tensor, vq: VQVAE) -> Codes:
    """The codes of each level, (N, 1, h, w), from all of them in a row (N, L)."""
    shapes = vq.autoencoder.code_shapes()
    levels = codes.split([height * width for height, width in shapes], dim=1)
    return tuple(level.unflatten(1, (1, *shape)) for level, shape in zip(levels, shapes, strict=True))
