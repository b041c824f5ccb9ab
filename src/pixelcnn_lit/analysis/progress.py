"""The progress of the commands that draw images: a bar, a film, and at the end a line with the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from rich import get_console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from pixelcnn_lit.config import SampleConfig
from pixelcnn_lit.sampling.draw import Progress as Told
from pixelcnn_lit.sampling.draw import SoFar


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

    @property
    def when(self) -> Tensor:
        """(N, H, W): the share of the rows that were done when a pixel was drawn, and 0 of those that were known."""
        return torch.cat(self._batches)


def _batches(n: int, size: int, what: str, film: Film | None) -> Iterator[tuple[int, int, Told]]:
    """For each batch of n images: its first image, its size, and a function that shows progress, on the ``film`` too.

    At the end, print the time that the images took; they are called ``what`` there.
    """
    start = time.perf_counter()
    with _bar(n) as show:
        for first in range(0, n, size):
            count = min(size, n - first)

            def told(so_far: SoFar, first: int = first, count: int = count) -> None:
                show(first + count * so_far.done / so_far.total, so_far.done, so_far.total)
                if film is not None:
                    film.note(so_far)

            yield first, count, told
    get_console().print(f"{n:,} {what} in {time.perf_counter() - start:.2f} s", highlight=False)


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
    their classes, or None. A ``film`` is told of all rows.
    """
    parts = []
    for first, count, show in _batches(n, config.batch_size, what, film):
        part = slice(first, first + count)
        classes = None if y is None else y[part]
        how = {"seed": config.seed, "temperature": config.temperature, "method": config.method}
        parts.append(drawn(part, y=classes, first=first, progress=show, **how).cpu())
    return torch.cat(parts)


@contextmanager
def _bar(n: int) -> Iterator[Callable[[float, int, int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=get_console(), transient=True) as bar:
        task = bar.add_task("drawing", total=n, state="")

        def show(done: float, row: int, rows: int) -> None:
            bar.update(task, completed=done, state=f"{int(done)}/{n} images, row {row}/{rows}")

        yield show
