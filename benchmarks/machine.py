"""What is measured on: its name, its clock, its memory."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Self

import torch

from pixelcnn_lit.device import name_of


def machine(device: str) -> str:
    """The device, its threads and the versions, in one line."""
    used = "" if device == "cuda" else f", {threads(torch.get_num_threads())}"
    return f"{name_of(torch.device(device))}{used}, torch {torch.__version__}, Python {platform.python_version()}"


def threads(n: int) -> str:
    """So many threads, in words.

    >>> threads(1), threads(2)
    ('1 thread', '2 threads')
    """
    return f"{n} thread{'' if n == 1 else 's'}"


def synchronise(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


class Peak:
    """The bytes that a block of code needs at its peak, above what was in use when it began.

    On a CPU that is the growth of the process's resident memory, which Linux alone can start to count anew; elsewhere
    ``bytes`` stays None.
    """

    def __init__(self, device: str) -> None:
        self._device, self._before = device, 0
        self.bytes: int | None = None

    def __enter__(self) -> Self:
        if self._device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        elif Path("/proc/self/clear_refs").exists():
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            self._before = _resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if self._device == "cuda":
            self.bytes = torch.cuda.max_memory_allocated() - self._before
        elif Path("/proc/self/clear_refs").exists():
            self.bytes = _resident("VmHWM") - self._before


def _resident(key: str) -> int:
    """A size in bytes from Linux's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
