"""What a network sees of an image's levels: numbers in order, or for codes a learned vector each."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def level_type(levels: int) -> torch.dtype:
    """The smallest type of torch that has room for ``levels`` levels, and with which it computes: uint8 up to 256.

    >>> from pixelcnn_lit.nn.inputs import level_type
    >>> level_type(256), level_type(512), level_type(65536)
    (torch.uint8, torch.int16, torch.int32)
    """
    return torch.uint8 if levels <= 2**8 else torch.int16 if levels <= 2**15 else torch.int32


class Scaled(nn.Module):
    """``level / (levels - 1)``, in [0, 1]: for intensities, where near levels are alike.

    >>> import torch
    >>> from pixelcnn_lit.nn.inputs import Scaled
    >>> Scaled(levels=3)(torch.tensor([0, 1, 2])).tolist()
    [0.0, 0.5, 1.0]
    """

    features = 1
    """The numbers that a channel of a pixel becomes."""

    def __init__(self, *, levels: int) -> None:
        super().__init__()
        self._last = levels - 1

    def forward(self, x: Tensor, like: torch.dtype = torch.float32) -> Tensor:
        """Levels (N, C, H, W) -> (N, C, H, W) in the type ``like``."""
        return x.to(like) / self._last

    def write(self, cell: Tensor, out: Tensor) -> None:
        """The same for the levels (N,) of a channel of one pixel, into ``out`` (N, 1)."""
        if out.dtype == torch.float64:
            # torch.div of integers is computed in float32, whatever ``out`` is.
            out[:, 0].copy_(cell).div_(self._last)
        else:
            torch.div(cell, self._last, out=out[:, 0])


class Embedded(nn.Module):
    """A learned vector for each level: for codes, whose numbers have no order. Images have one channel.

    >>> import torch
    >>> from pixelcnn_lit.nn.inputs import Embedded
    >>> Embedded(levels=256, features=8)(torch.zeros(2, 1, 7, 7, dtype=torch.uint8)).shape
    torch.Size([2, 8, 7, 7])
    """

    def __init__(self, *, levels: int, features: int) -> None:
        super().__init__()
        self.features = features
        self.weight = nn.Parameter(torch.randn(levels, features))

    def forward(self, x: Tensor, like: torch.dtype = torch.float32) -> Tensor:
        """Levels (N, 1, H, W) -> (N, features, H, W). Raise ValueError for several channels."""
        if x.shape[1] != 1:
            raise ValueError(f"levels are embedded where images have one channel, not {x.shape[1]}")
        return self.weight[x[:, 0].long()].movedim(-1, 1)

    def write(self, cell: Tensor, out: Tensor) -> None:
        """The same for the levels (N,) of one pixel, into ``out`` (N, features)."""
        out.copy_(self.weight.index_select(0, cell.long()))
