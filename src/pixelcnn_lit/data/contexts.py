"""Contexts: what a density is given of an image, one function each. They are made from levels, on any device.

All sums are of integers, so that a context is a function of the levels alone, whatever the device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pixelcnn_lit.config.context import CONTEXTS, ContextConfig
from pixelcnn_lit.nn.context import one_hot

ContextOf = Callable[[Tensor], Tensor | None]
"""Levels (N, C, H, W) -> their contexts (N, F, H', W') in [0, 1], or None."""

GREY = (299, 587, 114)
"""The weights of R, G and B in the brightness, in thousandths: ITU-R BT.601."""


def context_of(config: ContextConfig, levels: int) -> ContextOf:
    """The function that makes the contexts of images of ``levels`` levels."""
    return partial(CONTEXTS[config.name].load(), config=config, levels=levels)


def no_context(x: Tensor, *, config: ContextConfig, levels: int) -> None:
    """No context."""


def grey(x: Tensor, *, config: ContextConfig, levels: int) -> Tensor:
    """The brightness, ``0.299 R + 0.587 G + 0.114 B``, of levels (N, 3, H, W) in 256 steps: (N, 1, H, W).

    >>> import torch
    >>> from pixelcnn_lit.data.contexts import grey
    >>> grey(torch.tensor([255, 0, 0]).view(1, 3, 1, 1), config=None, levels=256).mul(255)
    tensor([[[[76.]]]])
    """
    weights = torch.tensor(GREY, device=x.device).view(1, 3, 1, 1)
    return _in_steps((x.long() * weights).sum(1, keepdim=True), sum(GREY) * (levels - 1))


def small(x: Tensor, *, config: ContextConfig, levels: int) -> Tensor:
    """The means of blocks of f x f pixels, in 256 steps: levels (N, C, H, W) -> (N, C, H / f, W / f)."""
    factor = config.factor  # type: ignore[attr-defined]
    blocks = x.long().unflatten(3, (-1, factor)).unflatten(2, (-1, factor))
    return _in_steps(blocks.sum((3, 5)), factor**2 * (levels - 1))


def codes(x: Tensor, *, config: ContextConfig, levels: int) -> Tensor:
    """The codes x (N, 1, H / f, W / f) of the level above, a channel for each of ``levels`` codes."""
    return one_hot(x, levels)


def _in_steps(total: Tensor, whole: int) -> Tensor:
    """``total / whole``, rounded to multiples of 1/255."""
    return ((2 * 255 * total + whole) // (2 * whole)).float() / 255
