"""Images drawn by several processes, each of one thread.

A pixel is a few dozen small products, too small to share out among threads: two threads draw 64 images little faster
than one. Two processes of 32 images each share nothing but the weights, and take half the time. They are forks of this
process, made when the model is there, so that nothing is loaded or sent again.

An image is a function of the seed and its own number, so the images are the same whoever draws them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar, cast

import torch

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.sampling.draw import Progress, SoFar

Result = TypeVar("Result")
FORK = multiprocessing.get_context("fork") if sys.platform.startswith("linux") else None
"""None where a fork of a process that has multiplied matrices may hang: on macOS."""
LEAST = 4
"""So many images are worth a process: starting one takes 10 ms, and four images about 0.3 s."""


def count(wish: int | Literal["auto"], n: int, device: torch.device) -> int:
    """How many processes draw n images; 1 means this one.

    "auto" is one for each thread that torch would use, and each gets at least :data:`LEAST` images. On a GPU, and where
    a process cannot be forked, it is 1.

    Raises UserError for a larger number there.
    """
    if wish == "auto":
        able = FORK is not None and device.type == "cpu"
        return max(1, min(torch.get_num_threads(), n // LEAST)) if able else 1
    if wish > 1 and device.type != "cpu":
        raise UserError(f"workers={wish}: a GPU is used by one process; workers=1 or auto")
    if wish > 1 and FORK is None:
        raise UserError(f"workers={wish}: processes that share a model need Linux; workers=1 or auto")
    return min(wish, n)


class Row(NamedTuple):
    """What a process says of the images ``part``: so many of their rows are drawn."""

    part: slice
    done: int
    total: int


class Crew(Generic[Result]):
    """Forks of this process that call ``draw(part, progress)`` for parts of the images, while a ``with`` block lasts.

    What it returns is sent as a pickle: arrays of NumPy, not tensors, which would need shared memory. At the end of the
    block, however it ends, the processes are gone; and if this process is killed, they end by themselves.

    Raises UserError if they cannot be started.
    """

    def __init__(self, workers: int, draw: Callable[[slice, Progress], Result]) -> None:
        self._draw = draw
        self._workers = workers
        self._at: dict[Connection, Any] = {}

    def __enter__(self) -> Self:
        try:
            for number in range(self._workers):
                self._start(number)
        except OSError as error:
            self.__exit__()
            reason = error.strerror or error
            raise UserError(f"workers={self._workers}: no process can be started ({reason}); try workers=1") from error
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._at.values():
            process.kill()
        for pipe, process in self._at.items():
            process.join()
            pipe.close()
        self._at.clear()

    @property
    def processes(self) -> list[Any]:
        """Those that have been started."""
        return list(self._at.values())

    def results(self, parts: Sequence[slice], told: Callable[[Row], None]) -> Iterator[tuple[slice, Result]]:
        """Each part with what ``draw`` returned of it, in the order in which they are ready. ``told`` hears of rows.

        Raises the error that ``draw`` raised in a process, and UserError if a process was killed.
        """
        left, busy = list(reversed(parts)), set(self._at)
        for pipe in list(busy):
            self._give(pipe, left, busy)
        while busy:
            for pipe in cast(list[Connection], wait(list(busy))):
                message = self._heard(pipe)
                if isinstance(message, Row):
                    told(message)
                else:
                    self._give(pipe, left, busy)
                    yield message

    def _start(self, number: int) -> None:
        assert FORK is not None
        here, there = FORK.Pipe()
        process = FORK.Process(target=self._work, args=(number, here, there), daemon=True)
        try:
            process.start()
        except OSError:
            here.close()
            raise
        finally:
            there.close()
        self._at[here] = process

    def _give(self, pipe: Connection, left: list[slice], busy: set[Connection]) -> None:
        if not left:
            busy.discard(pipe)
            return
        with suppress(BrokenPipeError):  # the next look at the pipe finds its end
            pipe.send(left.pop())

    def _heard(self, pipe: Connection) -> Any:
        try:
            message = pipe.recv()
        except (EOFError, ConnectionResetError):
            process = self._at[pipe]
            process.join()
            raise UserError(_killed(process.exitcode)) from None
        if isinstance(message, Exception):
            raise message
        return message

    def _work(self, number: int, others_end: Connection, pipe: Connection) -> None:
        """What a process does: draw the parts that come through the pipe, on one thread."""
        for end in (others_end, *self._at):  # open here too, they would hide that the first process has ended
            end.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the first one ends the others
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        torch.set_num_threads(1)
        if number:
            logging.disable()  # what is to be said is said once
        with suppress(EOFError, BrokenPipeError):
            while True:
                self._answer(pipe.recv(), pipe)

    def _answer(self, part: slice, pipe: Connection) -> None:
        def told(so_far: SoFar) -> None:
            pipe.send(Row(part, so_far.done, so_far.total))

        try:
            pipe.send((part, self._draw(part, told)))
        except BrokenPipeError:
            raise
        except Exception as error:
            pipe.send(_sendable(error))


def _sendable(error: Exception) -> Exception:
    """The error itself; where its class cannot be made from its message alone, one that names it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _killed(status: int | None) -> str:
    how = f"status {status}" if status is None or status >= 0 else signal.Signals(-status).name
    return f"workers: a process that drew images has ended ({how}); if memory ran out, a smaller batch_size may help"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
