"""Answers: images drawn given a picture, by a model that has a context."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.given import of_split, own_batch, own_image, picture_size, refuse_codes, tell_changes
from pixelcnn_lit.analysis.progress import Film, in_batches
from pixelcnn_lit.config import SampleConfig, TrainConfig
from pixelcnn_lit.data.images import Batch
from pixelcnn_lit.density import Density
from pixelcnn_lit.messages import say

GIVEN = 8
"""How many pictures of the split are given by default."""


Pair = tuple[pictures.Pixels, Tensor]
"""Originals in RGB (K, H, W, 3), and their contexts (K, F, H', W')."""


def answer(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None, film: Film | None
) -> tuple[Tensor, pictures.Picture]:
    """Draw n images given the context of each picture: of the first ones of the split, or of the user's own.

    Return the levels and a picture with what is given, the answers and the original.
    """
    if config.own_pictures:
        for path in config.own_pictures:  # all are read before a line is said of one
            own_image(path, trained.data.image_shape)
        pairs = [_own(path, density, trained) for path in config.own_pictures]
        originals, context = np.concatenate([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
    else:
        originals, context = _pair(of_split(config, trained, config.given or GIVEN, "given"), density)
    n, size = config.n or pictures.ANSWERS, trained.data.image_shape[1:]
    repeated = context.repeat_interleave(n, 0)

    def drawn(part: slice, **how: Any) -> Tensor:
        return density.sample(part.stop - part.start, context=repeated[part], size=size, **how)

    x = in_batches(config, len(repeated), y, "answers", drawn, film)
    scale = config.scale or pictures.default_scale(x.shape[3])
    return x, pictures.own_grid(originals, pictures.context_as_rgb(context, size), x, density.levels, scale)


def _pair(batch: Batch, density: Density) -> Pair:
    images, _, context = batch  # type: ignore[misc]
    return pictures.as_rgb(images, density.levels), context


def _own(path: str, density: Density, trained: TrainConfig) -> Pair:
    """The user's own picture and its context. One of exactly the size of a smaller context is that context."""
    assert density.context_shape is not None
    refuse_codes([path], trained)
    shape = density.context_shape.of(*trained.data.image_shape[1:])
    if shape[1:] == trained.data.image_shape[1:] or picture_size(path) != shape[1:]:
        return _pair(own_batch([path], trained), density)
    say(f"image={path}: has the size of what is given, {shape[2]}x{shape[1]}, and is given as it is")
    image = own_image(path, shape)
    tell_changes(path, image, shape)
    context = torch.from_numpy(image.pixels / np.float32(255))[None]
    unknown = np.broadcast_to(np.array(pictures.PAPER, dtype=np.uint8), (1, *trained.data.image_shape[1:], 3))
    return unknown, context
