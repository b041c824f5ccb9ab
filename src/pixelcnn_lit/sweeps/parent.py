"""Lets a job of a sweep end when the process that started it ends. Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT = "PIXELCNN_LIT_PARENT"
"""The environment variable of a job with the number of the process that started it."""


def end_with_parent() -> None:
    """Let the kernel send SIGTERM to this process when the process that started it ends."""
    parent = os.environ.pop(PARENT, None)
    if parent is None or not sys.platform.startswith("linux"):
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)
