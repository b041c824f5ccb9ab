"""The interface of a causal network and of its layers.

A network maps an image to the parameters of the likelihood at each pixel. The parameters of a pixel must not depend on
this pixel or a later one. Training, evaluation and naive sampling need nothing else.

A network that can also be computed one pixel at a time is sampled hundreds of times faster. For this, each causal layer
stores the features that it needs again in a :class:`LayerCache`. There is one cache per layer and
:class:`~pixelcnn_lit.nn.cursor.Cursor`. The README in this folder says how to write such a network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from pixelcnn_lit.nn.context import ContextEncoder

if TYPE_CHECKING:
    from pixelcnn_lit.nn.cursor import Cursor


class CausalNetwork(nn.Module, ABC):
    """A network whose output at a pixel depends only on the earlier pixels in raster order.

    >>> import torch
    >>> from torch import nn
    >>> from pixelcnn_lit import CausalNetwork
    >>> class PreviousPixel(CausalNetwork):
    ...     def __init__(self, n_params):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.ones(n_params, 1, 1))
    ...     def forward(self, x, at=None, y=None, context=None):
    ...         return nn.functional.pad(x, (1, -1)) * self.scale
    >>> PreviousPixel(2)(torch.ones(1, 1, 3, 3)).shape
    torch.Size([1, 2, 3, 3])
    """

    cached_sampling: ClassVar[bool] = False
    """Whether ``forward`` supports a cursor: its causal layers get ``at``, and all other operations are pointwise.

    A network without this is sampled correctly too, but with one pass over the whole image per pixel.
    """

    def __init__(self, context_encoder: ContextEncoder | None = None) -> None:
        """``context_encoder`` turns the context of the images into what the layers see of it; None: no context."""
        super().__init__()
        self.context_encoder = context_encoder

    @abstractmethod
    def forward(
        self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """Compute the parameters of the likelihood for each pixel.

        Without a cursor: images x (N, C, H, W) in [0, 1] -> (N, P, H, W). ``y`` (N,) are the classes of the images, if
        the network was built with ``n_classes``; ``context`` (N, F, H', W') is what every pixel may see, if it was
        built with a ``context_encoder``.

        With a cursor ``at`` in the stage "pixel": x (N, C) is the pixel at the cursor, and the result is (N, P). In the
        stage "known": x (N, C, H, W) are the known rows at the top, and the result is as without a cursor.
        """

    @property
    def context_features(self) -> int | None:
        """S, the features of the context; None without a context_encoder."""
        return None if self.context_encoder is None else self.context_encoder.features

    def encode(self, context: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        """The features of the context for images of ``size`` (H, W): (N, S, H, W); None without a context_encoder.

        A sampler calls this once, and its cursor holds the result. For a smaller size it is cut, not shrunk.

        Raises ValueError if there is an encoder, but no context.
        """
        if self.context_encoder is None:
            return None
        if context is None:
            raise ValueError("this network needs the context of the images: context=")
        features: Tensor = self.context_encoder(context, size)
        return features

    def seen(self, context: Tensor | None, x: Tensor, at: Cursor | None) -> Tensor | None:
        """What :meth:`forward` hands to its layers of the context: its features, or None where a cursor has them."""
        return self.encode(context, (x.shape[2], x.shape[3])) if at is None else None

    def initialise(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> None:
        """Initialise the weights on a batch of training images x (N, C, H, W) in [0, 1]. By default, do nothing."""


class OrderedNetwork(CausalNetwork):
    """A causal network that takes the order of the pixels: earlier are those of a lower rank.

    With a cursor at a pixel, that is the pixel of the rank ``at.row * at.width + at.column``. In the stage "known", x
    (N, C, h, W) are the pixels of the first h W ranks, in rank order.
    """

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        at: Cursor | None = None,
        y: Tensor | None = None,
        context: Tensor | None = None,
        order: Tensor | None = None,
    ) -> Tensor:
        """As of :class:`CausalNetwork`. ``order`` (N, H, W) or (1, H, W) are the ranks; None: the raster order."""


class CausalLayer(nn.Module, ABC):
    """A layer whose output at a pixel uses other pixels too. During sampling it keeps them in a cache.

    ``forward(x, at, ...)`` computes whole images if ``at`` is None. With a cursor, ``at.cache(self)`` is the cache that
    :meth:`new_cache` made, and ``at.stage`` says what x is:

    * "known": the known rows at the top of the images, (N, F, H, W). Compute them as whole images, and fill the cache.
    * "row": the current row, (N, F, 1, W). Only for layers inside a :class:`~pixelcnn_lit.nn.vertical.RowsAbove`.
    * "pixel": the pixel at row ``at.row``, column ``at.column``, (N, F).
    """

    looks_at_image: bool = False
    """Whether the input is the image itself, not the features of another layer. The cursor keeps the image's rows."""
    marks_padding: bool = False
    """Whether the layer, which looks at the image, adds a channel of ones: 1 inside the image, 0 in the padding."""
    rows_above: int = 0
    """How many rows above the current row the layer looks at."""

    @abstractmethod
    def new_cache(self, at: Cursor) -> LayerCache:
        """Make a cache for the images of ``at``, before their first row."""

    def coarser_parts(self) -> tuple[nn.Module, ...]:
        """The children that work at half the resolution. They are called with the cursor ``at.coarser``."""
        return ()


class LayerCache(ABC):  # noqa: B024
    """The state that one layer keeps while a cursor moves over images."""

    recordable: ClassVar[bool] = False
    """Whether the layer does the same operations on the same memory in every row.

    If this is True for all layers, the sampler records the operations of one row and replays them for the other rows.
    That is faster. It is wrong for a layer whose operations change from row to row, such as attention over a slice of
    all earlier pixels, or a counter in Python.
    """

    def start_row(self) -> None:  # noqa: B027
        """Prepare a new row, before its first pixel. The cursor is at this row already. This is never recorded."""

    def end_pixel(self) -> None:  # noqa: B027
        """Called when all channels of the pixel at the cursor are drawn: ``at.image.row[:, at.column]``.

        After a tie is settled, the rest of the row is drawn again. Then ``end_pixel`` and ``forward`` are called again
        for the same pixels, while the cache still holds old values to their right. So write each pixel to its own
        place, do not append, and do not read to the right.
        """
