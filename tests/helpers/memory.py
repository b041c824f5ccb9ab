"""The memory that this process holds."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def resident() -> int:
    """Bytes of the computer's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def held(device: torch.device) -> int:
    """Bytes of the device's memory: on a GPU what it has given to this process, which does not go back by itself."""
    if device.type != "cuda":
        return resident()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated(device)
