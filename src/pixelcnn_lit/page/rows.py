"""Images while a thread draws them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import SimpleQueue

from torch import Tensor

from pixelcnn_lit.page.cores import keep_share
from pixelcnn_lit.sampling.draw import Progress, SoFar


class Stopped(Exception):  # noqa: N818
    """Nobody looks at the images any more."""


def rows(draw: Callable[[Progress], Tensor]) -> Iterator[SoFar]:
    """The images of ``draw(progress)`` so far, the newest whenever they are asked for, and at last all of them.

    Another thread draws. It stops at the next row if the iterator is closed. Errors of ``draw`` are raised here.
    """
    news: SimpleQueue[SoFar | Exception | None] = SimpleQueue()
    stop = threading.Event()

    def told(so_far: SoFar) -> None:
        if stop.is_set():
            raise Stopped
        news.put(replace(so_far, x=so_far.x.cpu().clone(), seen=so_far.seen.cpu().clone()))

    def work() -> None:
        keep_share()
        try:
            draw(told)
        except Exception as error:
            news.put(error)
        else:
            news.put(None)

    thread = threading.Thread(target=work, name="draws rows", daemon=True)
    thread.start()
    try:
        yield from _newest(news)
    finally:
        stop.set()
        thread.join()


def _newest(news: SimpleQueue[SoFar | Exception | None]) -> Iterator[SoFar]:
    while True:
        item = news.get()
        while isinstance(item, SoFar) and not news.empty():
            later = news.get()
            if not isinstance(later, SoFar):
                yield item
            item = later
        if isinstance(item, Exception):
            raise item
        if item is None:
            return
        yield item
