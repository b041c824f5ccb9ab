"""Causal down- and upsampling by 2: the parts of a U-shaped network.

``grow(inner(shrink(x)))``: pixel (R, C) of the coarser image is computed when the sampler is at pixel (2R, 2C) of the
finer one. It serves the four pixels (2R, 2C) to (2R + 1, 2C + 1). So the sampler computes it at every second row and
column, and reads it from the cache at the others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn_lit.nn.context import halved
from pixelcnn_lit.nn.contract import CausalLayer, LayerCache
from pixelcnn_lit.nn.cursor import Cursor


class Grow(nn.Module):
    """A transposed convolution of stride 2. Rows 2R and 2R + 1 of the output depend only on row R of the input.

    ``columns`` 2: the pixels (2R, 2C) to (2R + 1, 2C + 1) depend only on (R, C). ``columns`` 3, for whole rows: odd
    columns depend on the input pixels to both sides.

    Shapes: (N, in, H, W) -> (N, out, 2H, 2W).
    """

    def __init__(self, in_features: int, out_features: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_features, out_features, 2, columns) * 0.05)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        crop = self.weight.shape[3] // 2 - (self.weight.shape[3] == 2)
        grown = F.conv_transpose2d(x, self.weight, self.bias, stride=2)
        return grown[..., crop : crop + 2 * x.shape[3]]


class Halved(CausalLayer):
    """``grow(inner(shrink(x)))``, cropped to the size of x. The base of the two layers below."""

    def __init__(self, shrink: nn.Module, inner: nn.Module, grow: Grow) -> None:
        super().__init__()
        self.shrink, self.inner, self.grow = shrink, inner, grow

    def coarser_parts(self) -> tuple[nn.Module, ...]:
        return (self.inner,)


class HalvedRows(Halved):
    """``Halved`` for features that depend only on the rows above.

    Returns the upsampled features (N, F, H, W), and the lists of features of all coarser resolutions.
    """

    def forward(
        self, x: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None
    ) -> tuple[Tensor, list[list[Tensor]]]:
        inside: list[list[Tensor]] = []
        if at is None or at.stage == "known":
            small, inside = self.inner(self.shrink(x, at), at and at.coarser, y, halved(s))
            grown = self.grow(small)
            if at is not None:
                at.cache(self).rows = grown[:, :, -2:]
            return grown[:, :, : x.shape[2], : x.shape[3]], inside
        cache: GrownRowsCache = at.cache(self)
        small = self.shrink(x, at)
        if at.row_modulo(2) == 0:
            small, inside = self.inner(small, at.coarser, y, None)
            cache.rows = self.grow(small)
        row = at.row_modulo(2)
        return cache.rows[:, :, row : row + 1, : x.shape[3]], inside

    def new_cache(self, at: Cursor) -> GrownRowsCache:
        return GrownRowsCache(at)


class GrownRowsCache(LayerCache):
    """The cache of :class:`HalvedRows`: the two rows (N, F, 2, W) upsampled from the current coarse row."""

    recordable = True

    def __init__(self, at: Cursor) -> None:
        self.rows = at.like


class HalvedPixels(Halved):
    """``Halved`` for features that depend on the pixels above and to the left.

    ``above`` are the features from the rows above, a list per coarser resolution.
    """

    def forward(
        self, x: Tensor, above: list[list[Tensor]], at: Cursor | None, y: Tensor | None, s: Tensor | None
    ) -> Tensor:
        if at is None or at.stage == "known":
            grown: Tensor = self.grow(self.inner(self.shrink(x, at), above, at and at.coarser, y, halved(s)))
            if at is not None:
                at.cache(self).keep(grown[:, :, -2:])
            return grown[:, :, : x.shape[2], : x.shape[3]]
        cache: GrownPixelsCache = at.cache(self)
        small = self.shrink(x, at)
        if at.row_modulo(2) == 0 and at.column % 2 == 0:
            small = self.inner(small, above, at.coarser, y, None)
            torch.addmm(cache.bias, small, cache.weight, out=cache.grown[at.column // 2])
        return cache.pixels[at.row_modulo(2)][at.column]

    def new_cache(self, at: Cursor) -> GrownPixelsCache:
        return GrownPixelsCache(self.grow, at)


class GrownPixelsCache(LayerCache):
    """The cache of :class:`HalvedPixels`: four pixels per pixel of the current coarse row, (W / 2, N, 4 F).

    The four pixels are in raster order.
    """

    recordable = True

    def __init__(self, grow: Grow, at: Cursor) -> None:
        weight = grow.weight
        self._features = weight.shape[1]
        self.weight = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1).contiguous()
        self.bias = grow.bias.repeat(4)
        self._grown = at.like.new_empty((at.width + 1) // 2, len(at.like), 4 * self._features)
        self.grown = self._grown.unbind(0)
        f = self._features
        self.pixels = [
            [self.grown[column // 2][:, (2 * row + column % 2) * f :][:, :f] for column in range(at.width)]
            for row in range(2)
        ]

    def keep(self, rows: Tensor) -> None:
        """Store the last two rows (N, F, 2, W) of whole images."""
        pixels = rows.unflatten(3, (-1, 2)).permute(3, 0, 2, 4, 1)
        self._grown.copy_(pixels.reshape(self._grown.shape))
