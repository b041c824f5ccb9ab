"""The progress of the commands that draw images: a bar, and at the end a line with the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import get_console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pixelcnn_lit.sampling.draw import Progress as RowsDone


def batches(n: int, size: int, what: str) -> Iterator[tuple[int, int, RowsDone]]:
    """For each batch of n images: its first image, its size, and a function that shows progress.

    At the end, print the time that the images took; they are called ``what`` there.
    """
    start = time.perf_counter()
    with _bar(n) as show:
        for first in range(0, n, size):
            count = min(size, n - first)

            def rows_done(row: int, rows: int, first: int = first, count: int = count) -> None:
                show(first + count * row / rows, row, rows)

            yield first, count, rows_done
    get_console().print(f"{n:,} {what} in {time.perf_counter() - start:.2f} s", highlight=False)


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
