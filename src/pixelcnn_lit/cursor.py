"""Where an ancestral sampler stands in the images, and what the layers of a network remember of the pixels behind it.

A pixel's features never change once they are computed. So a sampler walks over the image with a :class:`Cursor`, and
each layer keeps, in a :class:`Memory` of its own, the few rows that it will look at again. A network is called with the
cursor in three ways, its ``stage``:

* "known": a whole image of the rows at the top that are known already, to fill the memories;
* "row": the start of a row, for what looks at the rows above alone: all its columns at once, as images of one row;
* "pixel": one pixel, as (N, features).

Networks with several resolutions have a cursor for each: ``coarser`` moves at every other row and column.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

Stage = Literal["known", "row", "pixel"]


class Memory(Protocol):
    """What one layer keeps while a cursor moves."""

    def start_row(self) -> None:
        """Do what a new row needs, before its first pixel."""
        ...


class Remembering(nn.Module):
    """A layer that keeps something from pixel to pixel: it makes a memory for each cursor."""

    looks_at_image = False
    """Whether it reads the image, rather than the features of another layer: the rows above, or the pixels before."""
    rows_above = 0
    """How many rows above the current one it looks at."""
    in_features = 0

    def remember(self, at: Cursor) -> Memory:
        """A memory for the images that ``at`` walks over."""
        raise NotImplementedError

    def coarser_parts(self) -> tuple[nn.Module, ...]:
        """Those children that work at half the resolution."""
        return ()


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
    """A position in a batch of images, ``row`` and ``column``, and the memories of the layers at one resolution.

    ``image`` is the window on the network's input, and the sampler writes pixels into its row. Where layers want to
    tell the image from its padding, it has a further channel of ones.
    """

    def __init__(
        self,
        network: nn.Module,
        like: Tensor,
        width: int,
        image_channels: int,
        labels: Tensor | None = None,
        image: Window | None = None,
    ) -> None:
        """A cursor above the first row of len(like) images, with a memory for each layer that needs one.

        Memory is of ``like``'s type and device: O(N x rows that a kernel reaches x width x features) for a layer.
        ``labels`` (N,) are the classes of the images.
        """
        self.like, self.width, self.labels = like, width, labels
        self.row, self.column = -1, 0
        self.stage: Stage = "pixel"
        layers, coarse = _at_this_resolution(network)
        if image is None:
            looking = [layer for layer in layers if layer.looks_at_image]
            rows, features = max(layer.rows_above for layer in looking), looking[0].in_features
            image = Window(like, rows, width, features)
            image.row[..., image_channels:] = 1
        self.image = image
        self._memories: dict[nn.Module, Any] = {}
        self.coarser: Cursor | None = None
        if coarse:
            self.coarser = Cursor(nn.ModuleList(coarse), like, (width + 1) // 2, image_channels, labels, image)
        for layer in layers:
            self._memories[layer] = layer.remember(self)

    @property
    def period(self) -> int:
        """After so many rows, and columns, a network does the same again: 2 to the number of coarser resolutions."""
        return 1 if self.coarser is None else 2 * self.coarser.period

    def memory(self, layer: nn.Module) -> Any:
        """The memory of ``layer``."""
        return self._memories[layer]

    def start_row(self) -> None:
        """Move to the start of the next row."""
        if self.row >= 0:  # above the image there is nothing, not even ones
            self.image.scroll()
        self._start_row()

    def _start_row(self) -> None:
        self.row += 1
        if self.coarser is not None and self.row % 2 == 0:
            self.coarser._start_row()
        for memory in self._memories.values():
            memory.start_row()

    def move_to(self, column: int) -> None:
        """Move to a column of this row."""
        self.column = column
        if self.coarser is not None:
            self.coarser.move_to(column // 2)

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
        self.row = rows - 1
        if self.coarser is not None:
            self.coarser._skip((rows + 1) // 2)


def _at_this_resolution(network: nn.Module) -> tuple[list[Remembering], list[nn.Module]]:
    """The remembering layers of a network, in order, without what lies in its coarser parts; and these."""
    layers: list[Remembering] = []
    coarse: list[nn.Module] = []

    def visit(module: nn.Module) -> None:
        inner: tuple[nn.Module, ...] = ()
        if isinstance(module, Remembering):
            layers.append(module)
            inner = module.coarser_parts()
            coarse.extend(inner)
        for child in module.children():
            if not any(child is part for part in inner):
                visit(child)

    visit(network)
    return layers, coarse
