"""The device, precision and memory that a command uses, and the name of the machine."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from pixelcnn_lit.errors import UserError

# PyTorch lets the convolutions of a CUDA GPU round float32 to the 10 bits of TF32. But float32 is what is evaluated,
# and what both samplers agree in.
torch.backends.cudnn.allow_tf32 = False

WITHOUT_FLOAT64 = {"mps"}
"""The kinds of devices that have no float64: Apple's GPUs."""

WITHOUT_SKIPPING = {"mps"}
"""The kinds of devices whose fused optimisers take steps with infinite gradients, whatever ``found_inf`` says: Apple's
GPUs, as aten/src/ATen/native/mps/operations/FusedAdamWKernelImpl.mm of PyTorch has it."""


def pick_device(wish: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" or "mps"; "auto" is a CUDA GPU if there is one, else the CPU.

    Raises UserError for "cuda" without a GPU, and for "mps" without one of Apple's.
    """
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wish == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: no CUDA GPU here; device=cpu or auto would work")
    if wish == "mps" and not torch.backends.mps.is_available():
        raise UserError("device=mps: no Apple GPU here; device=cpu or auto would work")
    return torch.device(wish)


def widest(device: torch.device) -> torch.dtype:
    """The type for long sums on a device: float64, or float32 where there is no float64."""
    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64


def in_double(x: Tensor) -> Tensor:
    """x in float64: on its device, or on the CPU if the device has no float64."""
    return (x.cpu() if x.device.type in WITHOUT_FLOAT64 else x).double()


def name_of(device: torch.device) -> str:
    """The name of a GPU, or of this machine's processor where the system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def fast_precision(accelerator: str) -> str:
    """The fast precision for training: "bf16-mixed" if the hardware has fast bfloat16 products, else "32-true".

    On Apple's GPUs it is "32-true": whether bfloat16 is faster there, nobody has measured.
    """
    if accelerator == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = accelerator == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return "bf16-mixed" if fast else "32-true"


def has_room(device: torch.device, n_bytes: int) -> bool:
    """Whether a data set of ``n_bytes`` may be kept on a device: on a GPU, if it fills at most 1/4 of free memory."""
    return device.type != "cuda" or n_bytes <= torch.cuda.mem_get_info(device)[0] // 4


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that a GPU or the computer has not enough memory."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "MPS backend out of memory")
    )


@contextmanager
def enough_memory(batch: str, advice: str = "Try a smaller batch") -> Iterator[None]:
    """Turn an out-of-memory error of a GPU or CPU into a UserError that names ``batch``, a text "key=value"."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        on_gpu = isinstance(error, torch.OutOfMemoryError)
        asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
        more = f" (it asked for {asked[1]} more)" if asked else ""
        where = "GPU" if on_gpu else "computer"
        raise UserError(f"{batch}: the {where} has not enough memory{more}. {advice}") from error
