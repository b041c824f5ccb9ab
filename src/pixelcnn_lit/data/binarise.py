"""Dynamic binarisation: each pixel is drawn anew each epoch (Burda et al., 2015, arXiv 1509.00519, appendix D)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**18  # pixels per chunk; each needs 64 random bits in memory


def binarise(pixels: NDArray[np.uint8], numbers: NDArray[np.int64], *key: int) -> NDArray[np.uint8]:
    """Draw each pixel from Bernoulli(v / 255): intensities v (N, ...) to levels 0 and 1, same shape.

    The result for an image depends only on the ``key`` (such as a seed and an epoch), its number in ``numbers`` (N,)
    and its intensities, not on the rest of the batch. So several processes, and a run that is resumed in the middle of
    an epoch, see the same images.
    """
    levels = np.empty_like(pixels)
    size = max(1, levels[:1].size)
    start: Any = np.random.SeedSequence(key).generate_state(1, np.uint64)
    step = max(1, AT_ONCE // size)
    for begin in range(0, len(pixels), step):
        part = slice(begin, begin + step)
        count = numbers[part, None].astype(np.uint64) * np.uint64(size) + np.arange(size, dtype=np.uint64)
        # 255 divides 2^64 - 1, so r is uniform on 0..254 up to 2^-64; v of these 255 values are below v.
        r = splitmix64(start + count * np.uint64(0x9E3779B97F4A7C15)) % np.uint64(255)
        levels[part] = r.reshape(pixels[part].shape) < pixels[part]
    return levels


def chances(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probability of level 1 of each pixel that :func:`binarise` draws: v / 255."""
    return np.divide(pixels, 255, dtype=np.float32)


def splitmix64(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits per state: the output function of SplitMix (Steele, Lea and Flood, 2014, OOPSLA)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
