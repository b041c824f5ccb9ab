"""What a command does first: from its first line on, Ctrl-C ends it in one line.

Its imports take seconds, of PyTorch above all. To interrupt them with an exception would leave their modules by half.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

NOTHING = "nothing was written; the same command starts again"


def run(config_name: str, section: str, target: str) -> None:
    """The command of ``conf/<config_name>.yaml``, checked by a ``section`` of config: see :func:`cli.run`."""
    with ends_at_once():
        cli = importlib.import_module("pixelcnn_lit.cli")
        config = importlib.import_module("pixelcnn_lit.config")
    cli.run(config_name, getattr(config, section), target)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process during the block, which only imports, with a line and status 130."""
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
