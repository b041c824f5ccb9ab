"""Encoder and decoder, which halve and double the resolution; figure 2 of Razavi et al. (2019) is made of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """``x + conv1x1(relu(conv3x3(relu(x))))``, the block of van den Oord et al. (2017), arXiv 1711.00937."""

    def __init__(self, *, hidden: int, res_hidden: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(hidden, res_hidden, 3, padding=1)
        self.out = nn.Conv2d(res_hidden, hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.relu(self.conv(F.relu(x))))


class Encoder(nn.Module):
    """Features of 1/``factor`` of the resolution: (N, C, H, W) -> (N, hidden, H / factor, W / factor)."""

    def __init__(self, *, channels: int, factor: int, hidden: int, n_res: int, res_hidden: int) -> None:
        super().__init__()
        inputs = [channels] + [hidden] * (halvings(factor) - 1)
        self.halve = nn.ModuleList(nn.Conv2d(n, hidden, 4, stride=2, padding=1) for n in inputs)
        self.conv = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.blocks = nn.Sequential(*residual_blocks(n_res, hidden, res_hidden))

    def forward(self, x: Tensor) -> Tensor:
        for halve in self.halve:
            x = F.relu(halve(x))
        return F.relu(self.blocks(self.conv(x)))


class Decoder(nn.Module):
    """``factor`` times the resolution: (N, channels_in, H, W) -> (N, channels_out, factor H, factor W)."""

    def __init__(
        self, *, channels_in: int, channels_out: int, factor: int, hidden: int, n_res: int, res_hidden: int
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, hidden, 3, padding=1)
        self.blocks = nn.Sequential(*residual_blocks(n_res, hidden, res_hidden))
        outputs = [hidden] * (halvings(factor) - 1) + [channels_out]
        self.doublings = nn.ModuleList(nn.ConvTranspose2d(hidden, n, 4, stride=2, padding=1) for n in outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.conv(x))
        for double in self.doublings:
            x = double(F.relu(x))
        return x


class Doubling(nn.Sequential):
    """``factor`` times the resolution, by transposed convolutions alone: (N, F, H, W) -> (N, F, factor H, factor W)."""

    def __init__(self, *, channels: int, factor: int) -> None:
        super().__init__(
            *(nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1) for _ in range(halvings(factor)))
        )


def residual_blocks(n_res: int, hidden: int, res_hidden: int) -> Iterator[nn.Module]:
    """``n_res`` residual blocks."""
    for _ in range(n_res):
        yield ResidualBlock(hidden=hidden, res_hidden=res_hidden)


def halvings(factor: int) -> int:
    """How many halvings make 1/``factor`` of a resolution; ``factor`` is a power of two, at least 2."""
    return factor.bit_length() - 1
