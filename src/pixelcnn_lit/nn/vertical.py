"""Layers of a vertical stack: they see only the rows above, and are computed for a whole row at its start.

van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016), arXiv 1606.05328, section 2.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelcnn_lit.nn.causal import Convolution
from pixelcnn_lit.nn.contract import CausalLayer, LayerCache
from pixelcnn_lit.nn.cursor import Cursor


class VerticalConv2d(Convolution):
    """A convolution over the rows above and, unless it ``looks_at_image``, the current row. No tap is masked.

    Its input features depend only on the rows above, as in the vertical stack of Gated PixelCNN. So it may see all
    columns of their current row. The first layer looks at the image, and sees only the rows above.

    Shapes: (N, in, H, W) -> (N, out, H, W). ``stride`` 2 halves H and W, rounded up. With a cursor at the start of a
    row: (N, in, 1, W) -> (N, out, 1, W).

    Args:
        in_features: Features of the input.
        out_features: Features of the output.
        kernel_size: (rows, columns), columns odd. The last row is the current one, or with ``looks_at_image`` the one
            above it.
        looks_at_image: Whether the input is the image itself.
        dilation: The distance between neighbouring taps.
        stride: 1, or 2 for half the resolution.
        n_classes: The number of classes, for a bias per class.
        context_features: S, the features of the context, for a bias per place.
        marks_padding: Whether to add a channel to the image that is 1 inside it and 0 in the padding.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: tuple[int, int],
        *,
        looks_at_image: bool = False,
        dilation: int = 1,
        stride: int = 1,
        n_classes: int | None = None,
        context_features: int | None = None,
        marks_padding: bool = False,
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            kernel_size,
            looks_at_image=looks_at_image,
            dilation=dilation,
            stride=stride,
            n_classes=n_classes,
            context_features=context_features,
            marks_padding=marks_padding,
        )
        rows, columns = kernel_size
        self.rows_above = (rows if looks_at_image else rows - 1) * dilation
        self.side = columns // 2 * dilation

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, kernel_size={tuple(self.weight.shape[2:])}"

    def forward(self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        if at is None or at.stage == "known":
            if at is not None and not self.looks_at_image:
                at.cache(self).window.fill(x)
            # The last row of the image is above no other row, so it is cropped.
            x = F.pad(self.marked(x), (0, 0, self.rows_above, -1 if self.looks_at_image else 0))
            y, s = (y, s) if at is None else (at.classes, at.context)
            return self.convolve(x, self.weight, y, s)
        cache: RowCache = at.cache(self)
        if not self.looks_at_image:
            cache.window.scroll()
            cache.window.row.copy_(x[:, :, 0].transpose(1, 2))
        return cache.read() if at.row_modulo(self.stride) == 0 else x

    def convolve(self, x: Tensor, weight: Tensor, y: Tensor | None, s: Tensor | None) -> Tensor:
        """Convolve x, which has all its rows: pad the sides only, then add the biases of classes y and context s."""
        return self.finished(self.convolve_image(x, weight, self.side), y, s)

    def new_cache(self, at: Cursor) -> RowCache:
        return RowCache(self, at)


class RowCache(LayerCache):
    """The cache of a :class:`VerticalConv2d`: a window on its input."""

    recordable = True

    def __init__(self, layer: VerticalConv2d, at: Cursor) -> None:
        self._layer, self._at, self._weight = layer, at, layer.weight
        self.window = layer.window(at)

    def read(self) -> Tensor:
        """The result for the current row: (N, out, 1, W)."""
        past, row = self.window.past[:, self.window.past.shape[1] - self._layer.rows_above :], self.window.row[:, None]
        rows = past if self._layer.looks_at_image else torch.cat([past, row], dim=1)
        s = None if self._at.context is None else self._at.context[:, :, self._at.row, None]
        return self._layer.convolve(rows.permute(0, 3, 1, 2), self._weight, self._at.classes, s)


class RowsAbove(CausalLayer):
    """The part of a network that sees only the rows above. It computes all columns of a row at the start of the row.

    Subclasses define :meth:`rows`. Shapes: images (N, C, H, W) -> a list per resolution, the finest first, of features
    (N, F, H, W). With a cursor at a pixel, the same lists hold the features (N, F) of this pixel.
    """

    def rows(self, x: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> list[list[Tensor]]:
        """Compute the features of whole images, or with a cursor in the stage "row" those of the current row.

        The features of a row are (N, F, 1, W). Leave out coarser resolutions in rows where they do not start a new row.
        """
        raise NotImplementedError

    def forward(
        self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, s: Tensor | None = None
    ) -> list[list[Tensor]]:
        if at is None:
            return self.rows(x, None, y, s)
        cache: RowsCache = at.cache(self)
        if at.stage == "known":
            features = self.rows(x, at, None, None)
            cache.keep(features)
            return features
        return cache.read(at.column)

    def new_cache(self, at: Cursor) -> RowsCache:
        return RowsCache(self, at)


class RowsCache(LayerCache):
    """The cache of a :class:`RowsAbove`: the features of the current row at all resolutions."""

    recordable = True

    def __init__(self, layer: RowsAbove, at: Cursor) -> None:
        self._layer, self._at = layer, at
        self._rows: list[list[Tensor]] = []
        self._pixels: list[list[tuple[Tensor, ...]]] = []

    def start_row(self) -> None:
        """Compute the features of the new row."""
        self._at.enter("row")
        self.keep(self._layer.rows(self._at.like, self._at, None, None))
        self._at.enter("pixel")

    def keep(self, features: list[list[Tensor]]) -> None:
        """Store the last row of all features (N, F, H, W). Coarser resolutions that are left out keep their old row."""
        if not self._rows:
            self._rows = [[x.new_empty(x.shape[3], x.shape[0], x.shape[1]) for x in level] for level in features]
            self._pixels = [[row.unbind(0) for row in level] for level in self._rows]
        for level, rows in zip(features, self._rows, strict=False):
            for x, row in zip(level, rows, strict=True):
                row.copy_(x[:, :, -1].permute(2, 0, 1))

    def read(self, column: int) -> list[list[Tensor]]:
        """The features (N, F) of the pixel at a column, in a list per resolution."""
        return [[row[column >> depth] for row in level] for depth, level in enumerate(self._pixels)]
