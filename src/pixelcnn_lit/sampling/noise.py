"""The noise of a sample, a function of only the seed and the number of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

PURPOSES = ("levels", "classes")
"""What noise is for. One image draws both from streams of their own."""


class GumbelNoise:
    """Standard Gumbel noise for each image, position and level, in raster order. Only one row is in memory."""

    def __init__(self, seed: int, first: int | Sequence[int], x: Tensor, levels: int, skip_rows: int) -> None:
        n, channels, _, width = x.shape
        self._streams = Streams(seed, first, n, x.device, "levels")
        self.row = torch.empty(n, width * channels, levels, device=x.device)
        for _ in range(skip_rows):
            self._streams.fill(self.row)

    def next_row(self) -> None:
        """Write the noise of the next row into ``row`` (N, positions, levels)."""
        gumbel(self._streams, self.row)


class Streams:
    """A stream of random numbers for each of n images. The stream of image i is a function of (seed, first + i).

    A stream is a Philox generator on the CPU, whose key is (seed, image), 64 bits each: different pairs have different
    streams by construction. torch's own CPU generator takes only 32 bits of a seed. On a CUDA GPU it takes all 64, and
    streams are its own: there pairs below 2^32 x 2^32 have different streams.

    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011), section 3.3.
    """

    def __init__(
        self,
        seed: int,
        first: int | Sequence[int],
        n: int,
        device: torch.device,
        purpose: Literal["levels", "classes"],
    ) -> None:
        """``first`` is the number of the first image, or the numbers of all."""
        self._on_gpu = device.type == "cuda"
        images = range(first, first + n) if isinstance(first, int) else first
        if self._on_gpu:
            # The classes are drawn on the CPU: see draw_classes.
            seeds = [((seed << 32) + image) % 2**64 for image in images]
            self._gpu = [torch.Generator(device).manual_seed(number) for number in seeds]
            return
        counter = np.array([0, 0, 0, PURPOSES.index(purpose)], dtype=np.uint64)
        keys = [np.array([seed % 2**64, image], dtype=np.uint64) for image in images]
        self._cpu = [np.random.Generator(np.random.Philox(key=key, counter=counter)) for key in keys]

    def fill(self, out: Tensor) -> None:
        """Fill out (N, ...), float32 and contiguous, with the next numbers of each stream, uniform in [0, 1)."""
        if self._on_gpu:
            for image, generator in zip(out, self._gpu, strict=True):
                image.uniform_(generator=generator)
            return
        on_cpu = out.numpy() if out.device.type == "cpu" else np.empty(out.shape, np.float32)
        for image, stream in zip(on_cpu, self._cpu, strict=True):
            stream.random(dtype=np.float32, out=image)
        if out.device.type != "cpu":
            out.copy_(torch.from_numpy(on_cpu))


def gumbel(streams: Streams, out: Tensor) -> Tensor:
    """Fill out (N, ...) with standard Gumbel noise, ``-log(-log u)``. Returns out."""
    streams.fill(out)
    # u = 0 gives -inf: the level is not chosen. Its probability, 2^-24, is below the rounding error of a softmax.
    return out.log_().neg_().log_().neg_()
