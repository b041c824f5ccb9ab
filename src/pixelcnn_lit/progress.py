"""What is shown of a long computation: a bar on a terminal, and where there is none a line at least every ten seconds.

Both say how much is done and the time that is left. What takes less than two seconds shows nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from rich import get_console
from rich.progress import BarColumn, Progress, TextColumn

QUIET = 2.0
"""Seconds before a bar is shown."""
EVERY = 10.0
"""Seconds between two lines."""
FRAME = 0.1
"""Seconds between two looks at what a bar shows."""

T = TypeVar("T")
Tell = Callable[[float, str], None]


@contextmanager
def progress(what: str, total: float) -> Iterator[Tell]:
    """Show the progress of ``what`` until the block ends; it calls ``tell(done, detail)``, with ``done`` of ``total``.

    A thread shows it, so that a step of a minute has its lines too.
    """
    far = _Far(what, total)
    ended = threading.Event()
    shown = threading.Thread(target=_draw if get_console().is_terminal else _print, args=(far, ended), daemon=True)
    shown.start()
    try:
        yield far.tell
    finally:
        ended.set()
        shown.join()


@contextmanager
def tracked(items: Iterable[T], what: str, total: int, size: Callable[[T], int] = lambda _: 1) -> Iterator[Iterator[T]]:
    """The items, one after the other, with the progress of going through them: each counts ``size`` of the total.

    >>> with tracked(["a", "bc"], "words", 3, size=len) as words:
    ...     print(*words)
    a bc
    """
    with progress(what, total) as tell:

        def each() -> Iterator[T]:
            done = 0
            for item in items:
                yield item
                done += size(item)
                tell(done, "")

        yield each()


class _Far:
    """How far a computation is, and since when."""

    def __init__(self, what: str, total: float) -> None:
        self.what, self.total = what, total
        self.done, self._detail = 0.0, ""
        self._start = self._told = time.monotonic()

    def tell(self, done: float, detail: str) -> None:
        self.done, self._detail, self._told = done, detail, time.monotonic()

    def __str__(self) -> str:
        parts = [f"{int(self.done):,}/{int(self.total):,}", self._detail]
        if self.done:
            left = (self._told - self._start) / self.done * (self.total - self.done)
            left -= time.monotonic() - self._told  # a step may take long
            parts.append(f"{timedelta(seconds=round(max(left, 0)))} left")
        return "  ".join(part for part in parts if part)


def _draw(far: _Far, ended: threading.Event) -> None:
    """Show a bar until the end; a computation that has ended before it was due has none."""
    if ended.wait(QUIET):
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[far]}"))
    with Progress(*columns, console=get_console(), transient=True) as bar:
        task = bar.add_task(far.what, total=far.total, far=far)
        while True:
            bar.update(task, completed=far.done)
            if ended.wait(FRAME):
                return


def _print(far: _Far, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        get_console().print(f"{far.what}  {far}", highlight=False, soft_wrap=True, markup=False)
