"""The progress of the commands that draw images: a bar, a film, and at the end a line with the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich import get_console
from torch import Tensor

from pixelcnn_lit.config import SampleConfig
from pixelcnn_lit.device import pick_device
from pixelcnn_lit.messages import say
from pixelcnn_lit.progress import Tell, progress
from pixelcnn_lit.sampling.draw import Progress, SoFar
from pixelcnn_lit.sampling.workers import Crew, Row, count


class Film:
    """Remembers when each pixel was drawn; tell it of the progress of each part of the images."""

    def __init__(self) -> None:
        self._parts: dict[int, Tensor] = {}

    def note(self, so_far: SoFar, first: int = 0) -> None:
        """Take note of a row of the images from number ``first`` on. If their drawing begins again, all is as new."""
        if so_far.done == 0:
            self._parts[first] = torch.full(so_far.seen.shape, math.inf)
        when = self._parts[first]
        when[so_far.seen.cpu() & when.isinf()] = so_far.done / so_far.total

    def put(self, first: int, when: NDArray[np.float32]) -> None:
        """Take what another film has of the images from number ``first`` on, (n, H, W)."""
        self._parts[first] = torch.from_numpy(when)

    @property
    def when(self) -> Tensor:
        """(N, H, W): the share of the rows that were done when a pixel was drawn, and 0 of those that were known."""
        return torch.cat([self._parts[first] for first in sorted(self._parts)])


class Drawer:
    """Draws any part of n images, as a config asks."""

    def __init__(self, config: SampleConfig, y: Tensor | None, drawn: Callable[..., Tensor]) -> None:
        """``drawn(part, seed=, y=, temperature=, method=, first=, progress=)`` draws those of a slice ``part``."""
        self._how = {"seed": config.seed, "temperature": config.temperature, "method": config.method}
        self._y, self._drawn = y, drawn

    def __call__(self, part: slice, tell: Progress) -> Tensor:
        """Draw a part, on the CPU in the end."""
        y = None if self._y is None else self._y[part]
        return self._drawn(part, y=y, first=part.start, progress=tell, **self._how).cpu()

    def as_arrays(self, part: slice, tell: Progress, filmed: bool) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """What a process sends: a part, and the moments of its pixels, if they are to be filmed."""
        film = Film()

        def told(so_far: SoFar) -> None:
            tell(so_far)
            if filmed:
                film.note(so_far)

        images = self(part, told)
        return images.numpy(), film.when.numpy() if filmed else None


def in_batches(
    config: SampleConfig,
    n: int,
    y: Tensor | None,
    what: str,
    drawn: Callable[..., Tensor],
    film: Film | None = None,
) -> Tensor:
    """Draw n images, ``config.batch_size`` at a time in each of ``config.workers``: (n, C, H, W), on the CPU then.

    ``drawn(part, seed=, y=, temperature=, method=, first=, progress=)`` draws those of a slice ``part``; ``y`` (n,) are
    their classes, or None. A ``film`` is told of all rows. Images are called ``what`` in the line that tells the time.

    The images are the same, whatever the workers and batches.
    """
    start, draw = time.perf_counter(), Drawer(config, y, drawn)
    workers, label = count(config.workers, n, pick_device(config.device)), f"drawing {what}"
    if workers > 1:
        x = _by_processes(draw, workers, parts(n, workers, config.batch_size), film, label)
    else:
        x = _one_after_the_other(draw, n, config.batch_size, film, label)
    drawn_are = f"1 {what.removesuffix('s')}" if n == 1 else f"{n:,} {what}"
    by = f" by {workers} processes" if workers > 1 else ""
    get_console().print(f"{drawn_are}{by} in {time.perf_counter() - start:.2f} s", highlight=False)
    return x


def parts(n: int, workers: int, size: int) -> list[slice]:
    """n images as slices of at most ``size``, about equal, as many for each of the workers.

    >>> from pixelcnn_lit.analysis.progress import parts
    >>> parts(10, 2, 3)
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    number = min(n, workers * -(-n // (workers * size)))
    edges = [n * i // number for i in range(number + 1)]
    return [slice(*pair) for pair in pairwise(edges)]


def _by_processes(draw: Drawer, workers: int, parts: list[slice], film: Film | None, label: str) -> Tensor:
    done = dict.fromkeys((part.start for part in parts), 0.0)
    n = parts[-1].stop
    # The processes are made before the bar, which has a thread.
    with Crew(workers, partial(draw.as_arrays, filmed=film is not None)) as crew, progress(label, n) as show:

        def told(row: Row) -> None:
            done[row.part.start] = (row.part.stop - row.part.start) * row.done / row.total
            show(sum(done.values()), f"by {workers} processes")

        whole = None
        for part, (images, when) in crew.results(parts, told):
            whole = np.empty((n, *images.shape[1:]), images.dtype) if whole is None else whole
            whole[part] = images
            if film is not None and when is not None:
                film.put(part.start, when)
    return torch.from_numpy(whole)


def _one_after_the_other(draw: Drawer, n: int, size: int, film: Film | None, label: str) -> Tensor:
    """Draw n images, ``size`` at a time.

    Where a GPU's memory is too small for a batch, the rest goes on in batches of half the size, with the same images.
    Not so on a CPU: what it has not may still be given, and the computer then stands still.
    """
    whole, first = None, 0
    with progress(label, n) as show:
        while first < n:
            part = slice(first, min(first + size, n))
            try:
                images = draw(part, _teller(part, show, film))
            except torch.OutOfMemoryError as error:
                size = _half(part, error)
                continue
            whole = images.new_empty(n, *images.shape[1:]) if whole is None else whole
            whole[part] = images
            first = part.stop
    assert whole is not None
    return whole


def _teller(part: slice, show: Tell, film: Film | None) -> Progress:
    """What shows the progress of a batch, on the ``film`` too."""

    def told(so_far: SoFar) -> None:
        images = (part.stop - part.start) * so_far.done / so_far.total
        show(part.start + images, f"{so_far.what} {so_far.done}/{so_far.total}")
        if film is not None:
            film.note(so_far, part.start)

    return told


def _half(part: slice, error: Exception) -> int:
    """Half the size of a batch for which the memory was too small, which a line says. Raise the error of one image."""
    size = part.stop - part.start
    if size == 1:
        raise error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    say(f"not enough memory to draw {size:,} images at once: going on with {size // 2:,}")
    return size // 2
