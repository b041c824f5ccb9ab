"""The noise of a sample: a function of the seed and the image's number alone."""

from __future__ import annotations

import torch
from torch import Tensor


class GumbelNoise:
    """Standard Gumbel noise for each image, position and level, in raster order.

    Image i has its own generator: its noise doesn't depend on how many images are drawn beside it. Only one row is
    held at a time.
    """

    def __init__(self, seed: int, first: int, x: Tensor, levels: int, skip_rows: int) -> None:
        n, channels, _, width = x.shape
        self._generators = generators(seed, first, n, x.device)
        self.row = torch.empty(n, width * channels, levels, device=x.device)
        for _ in range(skip_rows):
            self._fill()

    def next_row(self) -> None:
        """Put the noise of the next row into ``row``: (N, positions, levels)."""
        self._fill()
        # u = 0 gives -inf, a level that is not chosen; probability 2^-24, less than softmax rounds off.
        self.row.log_().neg_().log_().neg_()

    def _fill(self) -> None:
        for image, generator in zip(self.row, self._generators, strict=True):
            image.uniform_(generator=generator)


def generators(seed: int, first: int, n: int, device: torch.device) -> list[torch.Generator]:
    """One for each image, seeded by (seed, first + i)."""
    # Consecutive seeds keep the images of one run apart; the odd factor keeps runs of neighbouring seeds apart.
    base = seed * 0x9E3779B97F4A7C15 + first
    return [torch.Generator(device).manual_seed((base + i) % 2**63) for i in range(n)]
