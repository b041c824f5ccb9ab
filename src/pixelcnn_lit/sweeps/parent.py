"""Lets a job of a sweep end when the process that started it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PARENT = "PIXELCNN_LIT_PARENT"
"""The environment variable of a job with the number of the process that started it."""
POLL_SECONDS = 1.0


def end_with_parent() -> None:
    """Send SIGTERM to this process when the process that started it ends: by Linux's kernel, elsewhere by a thread."""
    parent = os.environ.pop(PARENT, None)
    if parent is None:
        return
    if not sys.platform.startswith("linux"):
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
