"""Completions of images of which a part is hidden."""

from __future__ import annotations

from typing import Any

from rich import get_console
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.given import of_split, own_batch
from pixelcnn_lit.analysis.progress import Film, in_batches
from pixelcnn_lit.config import SampleConfig, TrainConfig
from pixelcnn_lit.density import Density
from pixelcnn_lit.masks import read_mask, visible_beside
from pixelcnn_lit.messages import say
from pixelcnn_lit.sampling.scans import SCANS, unusable

HALVES = 4
"""With so many scans, any half is completed exactly."""


def complete(
    config: SampleConfig,
    density: Density,
    trained: TrainConfig,
    y: Tensor | None,
    n: int,
    known: Tensor,
    film: Film | None,
) -> tuple[Tensor, pictures.Picture]:
    """Complete the first n images of the split, or each of the user's own pictures n times; ``known`` is (H, W).

    Return the levels and a picture with originals and completions.
    """
    own = config.own_pictures
    batch = own_batch(own, trained) if own else of_split(config, trained, n, "n")
    tell_known(config, density, known)
    original = batch[0]
    repeated, _, *contexts = [part.repeat_interleave(n, 0) for part in batch] if own else batch
    context = contexts[0] if contexts else None

    def drawn(part: slice, **how: Any) -> Tensor:
        return density.complete(repeated[part], known, context=None if context is None else context[part], **how)

    x = in_batches(config, len(repeated), y, "completions", drawn, film)
    scale = config.scale or pictures.default_scale(x.shape[3])
    if own:
        pixels = pictures.as_rgb(original, density.levels)
        return x, pictures.own_grid(pixels, pictures.with_hidden(pixels, known), x, density.levels, scale)
    return x, pictures.completion_grid(original, known, x, density.levels, scale)


def known_pixels(config: SampleConfig, height: int, width: int) -> Tensor:
    """The mask of known pixels, (H, W)."""
    if config.occlude is not None:
        return visible_beside(config.occlude, height, width, config.seed)
    assert config.mask is not None
    return read_mask(config.mask, height, width)


def tell_known(config: SampleConfig, density: Density, known: Tensor) -> None:
    """Lines that say what the known pixels (H, W) mean for this model."""
    if config.mask is not None:
        say(f"mask={config.mask}: {int(known.sum())} of {known.numel()} pixels are known, the others are drawn")
    if density.unused(known):
        get_console().print(f"note: {conditioning(known, density)}", style="yellow", highlight=False)
    else:
        say(conditioning(known, density))


def conditioning(known: Tensor, density: Density) -> str:
    """How many of the known pixels of a mask (H, W) a model uses, in one or two sentences."""
    total, late = int(known.sum()), density.unused(known)
    if not late:
        return f"all {total} known pixels condition the drawn ones."
    order = "each of the model's scans"
    if len(density.scans) == 1:
        order = "raster order (rows from the top, pixels from the left)"
    better = "A model=lmconv"
    if not unusable(known, SCANS[:HALVES]):
        better = f"A model with model.orders={HALVES}, or model=lmconv,"
    return (
        f"{late} of {total} known pixels come after an unknown one in {order}. They stay as they are, but cannot "
        f"condition the unknown pixels before them. {better} uses all."
    )
