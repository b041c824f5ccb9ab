"""A job of a sweep ends when the process that started it does, however that ends. Linux alone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT = "PIXELCNN_LIT_PARENT"
"""The variable of a job's environment that holds the number of the process without which it has to end."""


def end_with_parent() -> None:
    """Let the kernel send SIGTERM when the process that started it ends, however it does."""
    parent = os.environ.pop(PARENT, None)
    if parent is None or not sys.platform.startswith("linux"):
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)
