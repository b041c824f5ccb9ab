"""The contract of a causal network and of the layers that it is made of.

A network maps an image to the likelihood's parameters of each pixel, and no pixel's parameters may depend on itself or
on a later pixel. That is all that training and evaluation ask for, and the naive sampler draws from any such network.

A network that can also be computed a pixel at a time is sampled hundreds of times faster. Its causal layers keep what
they will need again in a :class:`LayerCache`, one for each :class:`~pixelcnn_lit.nn.cursor.Cursor` that walks over
images. The chapter on how to write one is the README of this folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from pixelcnn_lit.nn.cursor import Cursor


class CausalNetwork(nn.Module, ABC):
    """A network whose parameters for a pixel depend on the earlier pixels alone, in raster order.

    >>> import torch
    >>> class PreviousPixel(CausalNetwork):
    ...     def __init__(self, n_params):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.ones(n_params, 1, 1))
    ...     def forward(self, x, at=None, y=None):
    ...         return nn.functional.pad(x, (1, -1)) * self.scale
    >>> PreviousPixel(2)(torch.ones(1, 1, 3, 3)).shape
    torch.Size([1, 2, 3, 3])
    """

    cached_sampling: ClassVar[bool] = False
    """Whether ``forward`` takes a cursor: it hands ``at`` to its causal layers, and all else in it is pointwise.

    Without, it is right all the same, but sampled by a pass over the whole image for each pixel.
    """

    @abstractmethod
    def forward(self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None) -> Tensor:
        """The likelihood's parameters for each pixel.

        ``x`` is an image in [0, 1], (N, C, H, W), and the result (N, P, H, W); ``y`` (N,) are the classes of the
        images, where the network was built with ``n_classes``. With a cursor ``at`` that stands at a pixel, ``x`` is
        that pixel, (N, C), and the result (N, P); at the stage "known", ``x`` are whole rows that are known already.
        """

    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Set weights from a first batch of training images, (N, C, H, W) in [0, 1]; by default, nothing."""


class CausalLayer(nn.Module, ABC):
    """A layer that looks at other pixels than the one it is asked for, and keeps them in a cache while it is sampled.

    Its ``forward(x, at, ...)`` computes a whole image where ``at`` is None. With a cursor, ``at.stage`` says what is
    wanted, and ``at.cache(self)`` is what :meth:`new_cache` made:

    * "known": rows at the top of the images, (N, F, H, W): compute them as a whole image, and fill the cache;
    * "row": the current row, (N, F, 1, W), for layers inside a :class:`~pixelcnn_lit.nn.vertical.RowsAbove`;
    * "pixel": the pixel at ``at.row``, ``at.column``, (N, F).
    """

    looks_at_image: bool = False
    """Whether its input is the image itself, whose rows the cursor keeps, and not the features of another layer."""
    marks_padding: bool = False
    """Whether the image that it looks at has a further channel, 1 inside the image and 0 around it."""
    rows_above: int = 0
    """How many rows above the current one it looks at."""

    @abstractmethod
    def new_cache(self, at: Cursor) -> LayerCache:
        """A cache for the images that ``at`` walks over, before the first row."""

    def coarser_parts(self) -> tuple[nn.Module, ...]:
        """Those children that work at half the resolution, with the cursor ``at.coarser``."""
        return ()


class LayerCache(ABC):  # noqa: B024
    """What one layer keeps while a cursor moves over images."""

    recordable: ClassVar[bool] = False
    """Whether the layer does the same operations on the same memory in every row.

    The sampler records the operations of a row once, and replays them for the other rows, where the caches of all
    layers say so. Replaying is faster, and wrong for a layer whose operations change from row to row: one that attends
    to all earlier pixels by slicing, or counts in Python.
    """

    def start_row(self) -> None:  # noqa: B027
        """Do what a new row needs, before its first pixel; the cursor is at its row already. Never recorded."""

    def end_pixel(self) -> None:  # noqa: B027
        """Take notice of the pixel at the cursor, all of whose channels are drawn now: ``at.image.row[:, column]``.

        After a tie was settled, the rest of a row is drawn again: pixels are told again, and ``forward`` is called
        again for pixels to whose right the cache still has what was drawn before. So write to a pixel's place, do not
        append, and do not look to the right.
        """
