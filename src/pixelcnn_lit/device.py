"""Where a command computes."""

from __future__ import annotations

import torch

from pixelcnn_lit.errors import UserError


def pick_device(wish: str) -> torch.device:
    """ "auto" is a CUDA GPU if there is one, else the CPU. Raise UserError for "cuda" without one."""
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wish == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: no CUDA GPU here; device=cpu or auto would work")
    return torch.device(wish)
