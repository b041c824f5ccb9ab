"""The cursor: a sampler's position in the images, with the caches of all causal layers.

The features of a pixel never change once they are computed. So the sampler moves over the images with a
:class:`Cursor`, and each causal layer caches the few rows that it needs again.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn_lit.nn.context import halved
from pixelcnn_lit.nn.contract import CausalLayer, LayerCache
from pixelcnn_lit.nn.order import Order, raster

Stage = Literal["known", "row", "pixel"]


class Window:
    """The last rows of an image or of features: ``past`` (N, height, W, C) and the current ``row`` (N, W, C).

    Both tensors keep their memory, so that views and recordings of them stay valid from row to row.
    """

    def __init__(self, like: Tensor, height: int, width: int, features: int) -> None:
        self.past = like.new_zeros(like.shape[0], height, width, features)
        self.row = like.new_zeros(like.shape[0], width, features)

    def fill(self, x: Tensor) -> None:
        """Copy the last rows of x (N, C, H, W); the last one becomes the current row."""
        rows = x.permute(2, 0, 3, 1)
        self.row.copy_(rows[-1])
        for back in range(1, min(self.past.shape[1], len(rows) - 1) + 1):
            self.past[:, -back].copy_(rows[-1 - back])

    def scroll(self) -> None:
        """Start a new row: move every row up by one. The caller then writes the current row."""
        height = self.past.shape[1]
        for row in range(height - 1):
            self.past[:, row].copy_(self.past[:, row + 1])
        if height:
            self.past[:, -1].copy_(self.row)


class Cursor:
    """A position in a batch of images, and the caches of the causal layers at one resolution.

    ``height`` and ``width`` are the size of the images, ``row`` and ``column`` the position. ``classes`` and
    ``context`` are what the images are drawn given. ``image`` is the window on
    the network's input: the sampler writes pixels into its row. It has a further channel of ones if a layer has
    ``marks_padding``. ``coarser`` is the cursor of half the resolution, or None. It moves at every second row and
    column.

    Args:
        network: The network whose causal layers get caches.
        like: A tensor (N,) that gives the number of images, the dtype and the device. Its values do not matter.
        size: (H, W) of the images.
        image_channels: The channels of the images.
        classes: The classes (N,) of the images, if the network needs them.
        image: The window on the image, if a finer cursor has one already.
        context: The features of the context (N, S, H, W), if the network has an encoder.
        order: The ranks (N, H, W) of the pixels, if they are not drawn in raster order. ``row`` and ``column`` are then
            a rank, ``row * W + column``, and layers that look at neighbours find their places in :attr:`order`.

    >>> import torch
    >>> from pixelcnn_lit import CausalConv2d, Cursor
    >>> layer = CausalConv2d(1, 1, kernel_size=3, mask_type="A")
    >>> image = torch.rand(1, 1, 4, 4)
    >>> at = Cursor(layer, torch.empty(1), size=(4, 4), image_channels=1)
    >>> result = torch.empty(1, 1, 4, 4)
    >>> with torch.inference_mode():
    ...     for row in range(4):
    ...         at.start_row()
    ...         for column in range(4):
    ...             at.move_to(column)
    ...             result[:, :, row, column] = layer(at.image.row[:, column], at)
    ...             at.image.row[:, column] = image[:, :, row, column]  # a sampler would draw it
    ...             at.end_pixel()
    ...     torch.allclose(result, layer(image), atol=1e-6)
    True
    """

    def __init__(
        self,
        network: nn.Module,
        like: Tensor,
        size: tuple[int, int],
        image_channels: int,
        classes: Tensor | None = None,
        image: Window | None = None,
        context: Tensor | None = None,
        order: Tensor | None = None,
    ) -> None:
        """Start above the first row, with a new cache per causal layer.

        The cache of a convolution takes memory of O(N x rows of its kernel x W x features).
        """
        self.like, (self.height, self.width) = like, size
        self.classes, self.context, self._ranks = classes, context, order
        self.column = 0
        self.row_reads = 0
        """How often ``row`` was read. Operations that read it may be wrong for other rows, so they are not recorded."""
        self._row = -1
        self.stage: Stage = "pixel"
        layers, coarse = _at_this_resolution(network)
        self.image = _image_window(layers, like, self.width, image_channels) if image is None else image
        self._caches: dict[nn.Module, LayerCache] = {}
        self.coarser: Cursor | None = None
        if coarse:
            half = (self.height + 1) // 2, (self.width + 1) // 2
            parts = nn.ModuleList(coarse)
            self.coarser = Cursor(parts, like, half, image_channels, classes, self.image, halved(context))
        for layer in layers:
            self._caches[layer] = layer.new_cache(self)
        # Most caches do nothing after a pixel, so only the others are called.
        self._told = [c for c in self._caches.values() if type(c).end_pixel is not LayerCache.end_pixel]

    @cached_property
    def order(self) -> Order:
        """The order in which the pixels are drawn."""
        return Order(raster(self.height, self.width, self.like.device) if self._ranks is None else self._ranks)

    @property
    def row(self) -> int:
        """The current row; -1 before the first one."""
        self.row_reads += 1
        return self._row

    def row_modulo(self, n: int) -> int:
        """``row % n``. Recorded operations may depend on it if n divides :attr:`period`."""
        return self._row % n

    @property
    def period(self) -> int:
        """The operations repeat after this many rows, and columns: 2 to the number of coarser resolutions."""
        return 1 if self.coarser is None else 2 * self.coarser.period

    @property
    def recordable(self) -> bool:
        """Whether the caches of all layers, at all resolutions, are recordable."""
        return all(c.recordable for c in self._caches.values()) and (self.coarser is None or self.coarser.recordable)

    @property
    def all_row_reads(self) -> int:
        """The sum of ``row_reads`` over all resolutions."""
        return self.row_reads + (0 if self.coarser is None else self.coarser.all_row_reads)

    def cache(self, layer: nn.Module) -> Any:
        """The cache of ``layer``."""
        return self._caches[layer]

    def start_row(self) -> None:
        """Move to the start of the next row."""
        if self._row >= 0:  # above the image is padding, which has no ones
            self.image.scroll()
        self._start_row()

    def _start_row(self) -> None:
        self._row += 1
        if self.coarser is not None and self._row % 2 == 0:
            self.coarser._start_row()
        for cache in self._caches.values():
            cache.start_row()

    def move_to(self, column: int) -> None:
        """Move to a column of the current row."""
        self.column = column
        if self.coarser is not None:
            self.coarser.move_to(column // 2)

    def end_pixel(self) -> None:
        """Tell the caches of all resolutions that the pixel at the cursor is drawn."""
        for cache in self._told:
            cache.end_pixel()
        if self.coarser is not None:
            self.coarser.end_pixel()

    def enter(self, stage: Stage) -> None:
        """Set the stage at all resolutions."""
        self.stage = stage
        if self.coarser is not None:
            self.coarser.enter(stage)

    def pass_over(self, network: nn.Module, known: Tensor) -> None:
        """Move over the ``known`` rows at the top of the images, (N, C, H, W), in one pass of the network."""
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
    """A window on the image, as high as its layers need, with a channel of ones if a layer has ``marks_padding``."""
    looking = [layer for layer in layers if layer.looks_at_image]
    rows = max((layer.rows_above for layer in looking), default=0)
    marks = any(layer.marks_padding for layer in looking)
    image = Window(like, rows, width, image_channels + marks)
    image.row[..., image_channels:] = 1
    return image


def _at_this_resolution(network: nn.Module) -> tuple[list[CausalLayer], list[nn.Module]]:
    """The causal layers of a network at this resolution, in order, and its parts at coarser resolutions."""
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
