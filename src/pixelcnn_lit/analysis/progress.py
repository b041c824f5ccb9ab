"""The progress of the commands that draw images: a bar, a film, and at the end a line with the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from rich import get_console
from torch import Tensor

from pixelcnn_lit.config import SampleConfig
from pixelcnn_lit.messages import say
from pixelcnn_lit.progress import Tell, progress
from pixelcnn_lit.sampling.draw import Progress, SoFar


class Film:
    """Remembers when each pixel was drawn; tell it of the progress of each batch."""

    def __init__(self) -> None:
        self._batches: list[Tensor] = []

    def note(self, so_far: SoFar) -> None:
        """Take note of a row. A batch begins where no row is done."""
        if so_far.done == 0:
            self._batches.append(torch.full(so_far.seen.shape, math.inf))
        when = self._batches[-1]
        when[so_far.seen.cpu() & when.isinf()] = so_far.done / so_far.total

    def forget(self, images: int) -> None:
        """Forget what was noted after the first so many images: they are drawn again."""
        while sum(len(batch) for batch in self._batches) > images:
            self._batches.pop()

    @property
    def when(self) -> Tensor:
        """(N, H, W): the share of the rows that were done when a pixel was drawn, and 0 of those that were known."""
        return torch.cat(self._batches)


def in_batches(
    config: SampleConfig,
    n: int,
    y: Tensor | None,
    what: str,
    drawn: Callable[..., Tensor],
    film: Film | None = None,
) -> Tensor:
    """Draw n images, ``config.batch_size`` at a time, on the CPU in the end: (n, C, H, W).

    ``drawn(part, seed=, y=, temperature=, method=, first=, progress=)`` draws those of a slice ``part``; ``y`` (n,) are
    their classes, or None. A ``film`` is told of all rows. Images are called ``what`` in the line that tells the time.

    Where a GPU's memory is too small for a batch, the rest goes on in batches of half the size, with the same images.
    Not so on a CPU: what it has not may still be given, and the computer then stands still.
    """
    start, parts, first, size = time.perf_counter(), [], 0, config.batch_size
    how = {"seed": config.seed, "temperature": config.temperature, "method": config.method}
    with progress(f"drawing {what}", n) as show:
        while first < n:
            part = slice(first, min(first + size, n))
            told = _teller(part, show, film)
            try:
                classes = None if y is None else y[part]
                parts.append(drawn(part, y=classes, first=first, progress=told, **how).cpu())
            except torch.OutOfMemoryError as error:
                size = _half(part, error, film)
                continue
            first = part.stop
    count = f"1 {what.removesuffix('s')}" if n == 1 else f"{n:,} {what}"
    get_console().print(f"{count} in {time.perf_counter() - start:.2f} s", highlight=False)
    return torch.cat(parts)


def _teller(part: slice, show: Tell, film: Film | None) -> Progress:
    """What shows the progress of a batch, on the ``film`` too."""

    def told(so_far: SoFar) -> None:
        images = (part.stop - part.start) * so_far.done / so_far.total
        show(part.start + images, f"row {so_far.done}/{so_far.total}")
        if film is not None:
            film.note(so_far)

    return told


def _half(part: slice, error: Exception, film: Film | None) -> int:
    """Half the size of a batch for which the memory was too small, which a line says. Raise the error of one image."""
    size = part.stop - part.start
    if size == 1:
        raise error
    if film is not None:
        film.forget(part.start)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    say(f"not enough memory to draw {size:,} images at once: going on with {size // 2:,}")
    return size // 2
