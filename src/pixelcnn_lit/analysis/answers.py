"""Answers: images drawn given a picture, by a model that has a context."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.given import of_split, own_image, own_images, picture_size
from pixelcnn_lit.analysis.progress import batches
from pixelcnn_lit.config import SampleConfig, TrainConfig
from pixelcnn_lit.data.contexts import context_of
from pixelcnn_lit.density import Density
from pixelcnn_lit.messages import say

GIVEN = 8
"""How many pictures of the split are given by default."""


Pair = tuple[pictures.Pixels, Tensor]
"""Originals in RGB (K, H, W, 3), and their contexts (K, F, H', W')."""


def answer(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None
) -> tuple[Tensor, pictures.Picture]:
    """Draw n images given the context of each picture: of the first ones of the split, or of the user's own.

    Return the levels and a picture with what is given, the answers and the original.
    """
    if config.own_pictures:
        pairs = [_own(path, density, trained) for path in config.own_pictures]
        originals, context = np.concatenate([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
    else:
        originals, context = _with_context(of_split(config, trained, config.given or GIVEN, "given"), density, trained)
    n, size = config.n or pictures.ANSWERS, trained.data.image_shape[1:]
    parts = []
    for first, count, show in batches(n * len(context), config.batch_size, "answers"):
        chosen = torch.arange(first, first + count) // n
        parts.append(
            density.sample(
                count,
                config.seed,
                None if y is None else y[first : first + count],
                context=context[chosen],
                size=size,
                temperature=config.temperature,
                method=config.method,
                first=first,
                progress=show,
            ).cpu()
        )
    x = torch.cat(parts)
    scale = config.scale or pictures.default_scale(x.shape[3])
    return x, pictures.own_grid(originals, pictures.context_as_rgb(context, size), x, density.levels, scale)


def _with_context(images: Tensor, density: Density, trained: TrainConfig) -> Pair:
    context = context_of(trained.context, density.levels)(images)
    assert context is not None
    return pictures.as_rgb(images, density.levels), context


def _own(path: str, density: Density, trained: TrainConfig) -> Pair:
    """The user's own picture and its context. One of exactly the size of a smaller context is that context."""
    assert density.context_shape is not None
    shape = density.context_shape.of(*trained.data.image_shape[1:])
    if shape[1:] == trained.data.image_shape[1:] or picture_size(path) != shape[1:]:
        return _with_context(own_images([path], trained), density, trained)
    say(f"image={path}: has the size of what is given, {shape[2]}x{shape[1]}, and is given as it is")
    context = torch.from_numpy(own_image(path, shape).pixels / np.float32(255))[None]
    unknown = np.broadcast_to(np.array(pictures.PAPER, dtype=np.uint8), (1, *trained.data.image_shape[1:], 3))
    return unknown, context
