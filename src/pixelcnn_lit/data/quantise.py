"""Intensities to levels and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantise(pixels: NDArray[np.uint8], levels: int) -> NDArray[np.uint8]:
    """``min(floor(v levels / 255), levels - 1)`` for intensities v in 0..255: levels 0..levels-1, same shape."""
    table = np.minimum(np.arange(256) * levels // 255, levels - 1).astype(np.uint8)
    # table[pixels] would turn every pixel into an index of eight bytes first.
    return np.frombuffer(bytearray(pixels).translate(table.tobytes()), dtype=np.uint8).reshape(pixels.shape)


def intensities(x: NDArray[Any], levels: int) -> NDArray[np.uint8]:
    """Levels 0..levels-1 to intensities evenly spread over 0..255, for pictures."""
    return np.round(np.asarray(x, dtype=np.float64) * 255 / (levels - 1)).astype(np.uint8)
