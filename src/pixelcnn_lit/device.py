"""Where a command computes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pixelcnn_lit.errors import UserError


def pick_device(wish: str) -> torch.device:
    """ "auto" is a CUDA GPU if there is one, else the CPU. Raise UserError for "cuda" without one."""
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wish == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: no CUDA GPU here; device=cpu or auto would work")
    return torch.device(wish)


def fast_precision(accelerator: str) -> str:
    """What to train in: "bf16-mixed" where the hardware multiplies bfloat16 faster than float32, else "32-true"."""
    if accelerator == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = accelerator == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return "bf16-mixed" if fast else "32-true"


def has_room(device: torch.device, n_bytes: int) -> bool:
    """Whether a data set may lie in a device's memory: on a GPU, in a quarter of what is free there."""
    return device.type != "cuda" or n_bytes <= torch.cuda.mem_get_info(device)[0] // 4


@contextmanager
def enough_memory(batch: str, advice: str = "Try a smaller batch") -> Iterator[None]:
    """Turn the errors of a GPU or a CPU without memory left into a UserError that names ``batch``, "key=value"."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        on_gpu = isinstance(error, torch.OutOfMemoryError)
        if not (on_gpu or isinstance(error, MemoryError) or "can't allocate memory" in text):
            raise
        asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
        more = f" (it asked for {asked[1]} more)" if asked else ""
        where = "GPU" if on_gpu else "computer"
        raise UserError(f"{batch}: the {where} has not enough memory{more}. {advice}") from error
