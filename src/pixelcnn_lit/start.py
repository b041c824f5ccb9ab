"""What a command does first: it imports, which takes seconds, of PyTorch above all.

From its first line on, Ctrl-C ends it in one line. To interrupt imports with an exception would leave modules by half.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, NoReturn

NOTHING = "nothing was written; the same command starts again"


def run(config_name: str, section: str, target: str) -> None:
    """The command of ``conf/<config_name>.yaml``, checked by a ``section`` of config: see :func:`cli.run`."""
    with imports():
        cli = importlib.import_module("pixelcnn_lit.cli")
        config = importlib.import_module("pixelcnn_lit.config")
    cli.run(config_name, getattr(config, section), target)


@contextmanager
def imports() -> Iterator[None]:
    """A block that only imports: Ctrl-C ends the process in it, with a line and status 130, and no garbage is sought.

    What modules define stays. To look through it again and again takes a fifth of the time of a training's imports.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with _ends_at_once(), _Later.held_back():
            yield
    finally:
        if collects:
            gc.freeze()
            gc.enable()


class _Later(ModuleType):
    """``scipy.signal``, which is imported when somebody asks it for anything but ``hamming``.

    torchmetrics imports it only to add that name where it lacks, and Lightning imports torchmetrics. To import it takes
    a fifth of the time of a training's imports.
    """

    NAME = "scipy.signal"
    hamming = None

    def __init__(self) -> None:
        super().__init__(self.NAME)
        self.__spec__ = ModuleSpec(self.NAME, None)

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # inspect asks all modules, whose source it looks for
            raise AttributeError(name)
        self.let_go()
        return getattr(importlib.import_module(self.NAME), name)

    def let_go(self) -> None:
        if sys.modules.get(self.NAME) is self:
            del sys.modules[self.NAME]

    @classmethod
    @contextmanager
    def held_back(cls) -> Iterator[None]:
        later = cls()
        sys.modules.setdefault(cls.NAME, later)
        try:
            yield
        finally:
            later.let_go()


@contextmanager
def _ends_at_once() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield  # somebody else takes care of signals, or they are ignored
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, f"interrupted: {NOTHING}\n".encode())
    os._exit(128 + number)
