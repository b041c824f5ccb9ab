"""Where a sampler stands in the images, and what the layers of a network keep of the pixels behind it.

A pixel's features never change once they are computed. So a sampler walks over the image with a :class:`Cursor`, and
each causal layer keeps, in a cache of its own, the few rows that it will look at again.
"""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn_lit.nn.contract import CausalLayer, LayerCache

Stage = Literal["known", "row", "pixel"]


class Window:
    """The last rows of a stream, channels last: ``past`` (N, height, W, C) and the current ``row`` (N, W, C).

    They never move in memory, so that views of them, and a recording made over them, stay valid from row to row.
    """

    def __init__(self, like: Tensor, height: int, width: int, features: int) -> None:
        self.past = like.new_zeros(like.shape[0], height, width, features)
        self.row = like.new_zeros(like.shape[0], width, features)

    def fill(self, x: Tensor) -> None:
        """Take the last rows of a whole stream (N, C, H, W), the last of them as the current row."""
        rows = x.permute(2, 0, 3, 1)
        self.row.copy_(rows[-1])
        for back in range(1, min(self.past.shape[1], len(rows) - 1) + 1):
            self.past[:, -back].copy_(rows[-1 - back])

    def scroll(self) -> None:
        """Start a new row: every row moves up by one, the current row is to be written."""
        height = self.past.shape[1]
        for row in range(height - 1):
            self.past[:, row].copy_(self.past[:, row + 1])
        if height:
            self.past[:, -1].copy_(self.row)


class Cursor:
    """A position in a batch of images, and the caches of the layers at one resolution.

    ``height`` and ``width`` are the size of the images, ``row`` and ``column`` the position, ``classes`` (N,) the
    classes of the images, ``like`` an empty tensor (N,) of the network's type and device. ``image`` is the window on
    the network's input; the sampler writes pixels into its row. Where layers tell the image from its padding, it has a
    further channel of ones. ``coarser`` is the cursor of half the resolution: it moves at every other row and column.
    """

    def __init__(
        self,
        network: nn.Module,
        like: Tensor,
        size: tuple[int, int],
        image_channels: int,
        classes: Tensor | None = None,
        image: Window | None = None,
    ) -> None:
        """A cursor above the first row of len(like) images of ``size`` (H, W), with a cache for each causal layer.

        A convolution's cache takes memory of O(N x rows that its kernel reaches x W x features).
        """
        self.like, (self.height, self.width), self.classes = like, size, classes
        self.column = 0
        self.row_reads = 0
        """How often somebody asked for ``row``: a recording in which that happens may not hold for other rows."""
        self._row = -1
        self.stage: Stage = "pixel"
        layers, coarse = _at_this_resolution(network)
        self.image = _image_window(layers, like, self.width, image_channels) if image is None else image
        self._caches: dict[nn.Module, LayerCache] = {}
        self.coarser: Cursor | None = None
        if coarse:
            half = (self.height + 1) // 2, (self.width + 1) // 2
            self.coarser = Cursor(nn.ModuleList(coarse), like, half, image_channels, classes, self.image)
        for layer in layers:
            self._caches[layer] = layer.new_cache(self)
        # Most layers do nothing after a pixel: they cost nothing then.
        self._told = [c for c in self._caches.values() if type(c).end_pixel is not LayerCache.end_pixel]

    @property
    def row(self) -> int:
        """The current row, -1 above the image."""
        self.row_reads += 1
        return self._row

    def row_modulo(self, n: int) -> int:
        """``row % n``, which recorded operations may depend on where n divides the period."""
        return self._row % n

    @property
    def period(self) -> int:
        """After so many rows, and columns, a network does the same again: 2 to the number of coarser resolutions."""
        return 1 if self.coarser is None else 2 * self.coarser.period

    @property
    def recordable(self) -> bool:
        """Whether the caches of all layers say that a row may be recorded."""
        return all(c.recordable for c in self._caches.values()) and (self.coarser is None or self.coarser.recordable)

    @property
    def all_row_reads(self) -> int:
        """The ``row_reads`` of all resolutions."""
        return self.row_reads + (0 if self.coarser is None else self.coarser.all_row_reads)

    def cache(self, layer: nn.Module) -> Any:
        """The cache of ``layer``."""
        return self._caches[layer]

    def start_row(self) -> None:
        """Move to the start of the next row."""
        if self._row >= 0:  # above the image there is nothing, not even ones
            self.image.scroll()
        self._start_row()

    def _start_row(self) -> None:
        self._row += 1
        if self.coarser is not None and self._row % 2 == 0:
            self.coarser._start_row()
        for cache in self._caches.values():
            cache.start_row()

    def move_to(self, column: int) -> None:
        """Move to a column of this row."""
        self.column = column
        if self.coarser is not None:
            self.coarser.move_to(column // 2)

    def end_pixel(self) -> None:
        """Tell the caches of all resolutions that the pixel here is drawn."""
        for cache in self._told:
            cache.end_pixel()
        if self.coarser is not None:
            self.coarser.end_pixel()

    def enter(self, stage: Stage) -> None:
        """Change the stage, at all resolutions."""
        self.stage = stage
        if self.coarser is not None:
            self.coarser.enter(stage)

    def pass_over(self, network: nn.Module, known: Tensor) -> None:
        """Move over the rows at the top of the image that are ``known``, (N, C, H, W): one pass of the network."""
        marks = self.image.row.shape[2] - known.shape[1]
        self.image.fill(F.pad(known, (0, 0, 0, 0, 0, marks), value=1))
        self.enter("known")
        network(known, self)
        self.enter("pixel")
        self._skip(known.shape[2])

    def _skip(self, rows: int) -> None:
        self._row = rows - 1
        if self.coarser is not None:
            self.coarser._skip((rows + 1) // 2)


def _image_window(layers: list[CausalLayer], like: Tensor, width: int, image_channels: int) -> Window:
    """The rows of the image that the layers which look at it need, with a channel of ones where one wants that."""
    looking = [layer for layer in layers if layer.looks_at_image]
    rows = max((layer.rows_above for layer in looking), default=0)
    marks = any(layer.marks_padding for layer in looking)
    image = Window(like, rows, width, image_channels + marks)
    image.row[..., image_channels:] = 1
    return image


def _at_this_resolution(network: nn.Module) -> tuple[list[CausalLayer], list[nn.Module]]:
    """The causal layers of a network, in order, without what lies in its coarser parts; and these."""
    layers: list[CausalLayer] = []
    coarse: list[nn.Module] = []

    def visit(module: nn.Module) -> None:
        inner: tuple[nn.Module, ...] = ()
        if isinstance(module, CausalLayer):
            layers.append(module)
            inner = module.coarser_parts()
            coarse.extend(inner)
        for child in module.children():
            if not any(child is part for part in inner):
                visit(child)

    visit(network)
    return layers, coarse
