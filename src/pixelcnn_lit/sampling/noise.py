"""The noise of a sample, a function of only the seed and the number of the image."""

from __future__ import annotations

import torch
from torch import Tensor


class GumbelNoise:
    """Standard Gumbel noise for each image, position and level, in raster order.

    Each image has its own generator, so its noise does not depend on the other images. Only one row is in memory.
    """

    def __init__(self, seed: int, first: int, x: Tensor, levels: int, skip_rows: int) -> None:
        n, channels, _, width = x.shape
        self._generators = generators(seed, first, n, x.device)
        self.row = torch.empty(n, width * channels, levels, device=x.device)
        for _ in range(skip_rows):
            self._fill()

    def next_row(self) -> None:
        """Write the noise of the next row into ``row`` (N, positions, levels)."""
        self._fill()
        # u = 0 gives -inf: the level is not chosen. Its probability, 2^-24, is below the rounding error of a softmax.
        self.row.log_().neg_().log_().neg_()

    def _fill(self) -> None:
        for image, generator in zip(self.row, self._generators, strict=True):
            image.uniform_(generator=generator)


def generators(seed: int, first: int, n: int, device: torch.device) -> list[torch.Generator]:
    """A generator per image i in 0..n-1, seeded by (seed, first + i)."""
    # Consecutive numbers give the images of one seed different generators; the large odd factor separates the seeds.
    base = seed * 0x9E3779B97F4A7C15 + first
    return [torch.Generator(device).manual_seed((base + i) % 2**63) for i in range(n)]
