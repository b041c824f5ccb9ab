"""The conditionals of an image: all in one pass, or one position at a time for the naive and the cached sampler."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pixelcnn_lit.likelihood import Likelihood
from pixelcnn_lit.nn.context import ContextShape
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor
from pixelcnn_lit.nn.inputs import Embedded, Scaled
from pixelcnn_lit.nn.order import Order


class Given(NamedTuple):
    """What images are drawn given: their classes ``y`` (N,), and a ``context`` (N, F, H', W'). None where not used."""

    y: Tensor | None = None
    context: Tensor | None = None

    def of(self, images: list[int]) -> Given:
        """Those of some of the images."""
        return Given(*(None if part is None else part[images] for part in self))


class Conditionals(nn.Module):
    """A network with its likelihood: ``p(x_i | x_1, ..., x_{i-1})`` for all dimensions i, in one pass."""

    def __init__(
        self,
        network: nn.Module,
        likelihood: Likelihood,
        n_classes: int | None = None,
        context_shape: ContextShape | None = None,
        inputs: Scaled | Embedded | None = None,
    ) -> None:
        """With ``n_classes``, the network takes classes ``y`` too; with ``context_shape``, a ``context``.

        ``inputs`` says what the network sees of a level; None: ``level / (levels - 1)``.
        """
        super().__init__()
        self.inputs = Scaled(levels=likelihood.levels) if inputs is None else inputs
        self.context_shape = context_shape
        self.network = network
        self.likelihood = likelihood
        self.n_classes = n_classes

    @property
    def levels(self) -> int:
        """The number of intensity levels of each channel."""
        return self.likelihood.levels

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    @property
    def has_cached_path(self) -> bool:
        """Whether the network can be computed one pixel at a time, with caches."""
        return isinstance(self.network, CausalNetwork) and self.network.cached_sampling

    def forward(
        self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None, chances: Tensor | None = None
    ) -> Tensor:
        """``-log p(x_i | earlier)`` of each dimension, in nats: levels (N, C, H, W) -> (N, C, H, W).

        With ``n_classes``, y (N,) are the classes of the images, and the result is ``-log p(x_i | earlier, y)``. With a
        context (N, F, H', W') it is given that too. With the ``chances`` of the draw of x it is :func:`mean_nats`.
        """
        if chances is not None:
            return mean_nats(self.nats_of_both(x, y, context), chances)
        return -self.likelihood.log_prob(self.params(x, y, context), x)

    def nats_of_both(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """``-log p(0 | earlier)`` and ``-log p(1 | earlier)`` of each dimension: (N, C, H, W) -> (N, 2, C, H, W).

        Raises ValueError for a density of other levels than two.
        """
        if self.levels != 2:
            raise ValueError(f"both levels: this density has {self.levels}")
        params = self.params(x, y, context)
        return torch.stack([self._nats_of_level(params, x, level) for level in (0, 1)], dim=1)

    def _nats_of_level(self, params: Tensor, x: Tensor, level: int) -> Tensor:
        """``-log p(level | earlier)`` of each dimension: (N, C, H, W)."""
        channels = []
        for channel in range(x.shape[1]):
            asked = x.clone()
            asked[:, channel] = level
            channels.append(-self.likelihood.log_prob(params, asked)[:, channel])
        return torch.stack(channels, dim=1)

    def params(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """The parameters of the likelihood for each pixel: levels (N, C, H, W) -> (N, P, H, W)."""
        params: Tensor = self.network(self.normalise(x), **self.given(y, context))
        return params

    def all_logits(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """The logits of each conditional: levels (N, C, H, W) -> (N, levels, C, H, W)."""
        params = self.params(x, y, context)
        return torch.stack([self.likelihood.logits(params, x, c) for c in range(x.shape[1])], dim=2)

    def of(self, images: list[int]) -> Conditionals:
        """Those of some images of a batch: the same ones, since here they do not belong to a batch."""
        return self

    def given(self, y: Tensor | None, context: Tensor | None) -> dict[str, Tensor | None]:
        """The arguments of the network beside the image: a network without classes or context need not take them."""
        classes = {} if self.n_classes is None else {"y": y}
        return classes if self.context_shape is None else classes | {"context": context}

    def normalise(self, x: Tensor) -> Tensor:
        """Convert levels to the network's input: ``level / (levels - 1)``, in [0, 1], or their embedding."""
        inputs: Tensor = self.inputs(x, next(self.parameters()).dtype)
        return inputs


def mean_nats(of_both: Tensor, chances: Tensor) -> Tensor:
    """The mean of ``-log p(x_i | earlier)`` over x_i, which is 1 with probability q_i and else 0: (N, C, H, W) nats.

    ``-q_i log p(1 | earlier) - (1 - q_i) log p(0 | earlier)``, from the nats of both levels (N, 2, C, H, W) and the
    ``chances`` q (N, C, H, W). Where each dimension of x was drawn by itself, this has the mean of
    ``-log p(x_i | earlier)`` and a smaller variance, and so has its gradient: the Rao-Blackwell theorem.

    >>> import torch
    >>> from pixelcnn_lit.sampling.conditionals import mean_nats
    >>> mean_nats(torch.tensor([1.0, 3.0]).view(1, 2, 1, 1, 1), torch.tensor(0.25).view(1, 1, 1, 1)).item()
    1.5
    """
    return torch.lerp(of_both[:, 0], of_both[:, 1], chances.to(of_both.dtype))


class InOrder(Conditionals):
    """The conditionals of a network that takes the order, for a batch of images with these ``ranks`` (N, H, W)."""

    ranks: Tensor

    def __init__(self, ranks: Tensor, network: nn.Module, likelihood: Likelihood, *given: Any) -> None:
        """``given`` are the other arguments of :class:`Conditionals`."""
        super().__init__(network, likelihood, *given)
        self.register_buffer("ranks", ranks, persistent=False)

    def given(self, y: Tensor | None, context: Tensor | None) -> dict[str, Tensor | None]:
        return super().given(y, context) | {"order": self.ranks}


class InRankOrder(InOrder):
    """The same, of images in rank order: a raster sampler, which goes from place to place, then follows the ranks.

    The images x (N, C, h, W) may be those of the first h W ranks alone.
    """

    def params(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """The parameters in rank order: levels (N, C, h, W) in rank order -> (N, P, h, W)."""
        order = Order(self.ranks)
        return order.in_rank_order(super().params(order.in_place(x), y, context))[:, :, : x.shape[2]]

    def of(self, images: list[int]) -> Conditionals:
        given = self.n_classes, self.context_shape, self.inputs
        return InRankOrder(self.ranks[images], self.network, self.likelihood, *given)


class NaiveConditionals:
    """The reference: run the network over the whole image for each position."""

    period, recordable, row_reads = 1, False, 0

    def __init__(self, model: Conditionals, x: Tensor, given: Given, row: Tensor, start: int) -> None:
        self._model, self._x, self._given, self._row, self._number = model, x, given, row, start

    def start_row(self, row: int) -> None:
        """Move to ``row``."""
        self._number = row

    def params(self, position: int) -> Tensor:
        """The parameters of the likelihood at a position of this row, (N, P), given everything drawn before it."""
        self._x[:, :, self._number].copy_(self._row)
        return self._model.params(self._x, *self._given)[:, :, self._number, position // self._x.shape[1]]


class CachedConditionals:
    """The fast path: a cursor moves over the image, and each causal layer caches what it needs again."""

    def __init__(self, model: Conditionals, x: Tensor, given: Given, row: Tensor, start: int) -> None:
        """Prepare for row ``start``. The known rows above it take one pass of the network."""
        self._model, self._channels = model, x.shape[1]
        self._cells = [cell for pixel in row.unbind(2) for cell in pixel.unbind(1)]
        like, size = next(model.parameters()).new_empty(len(x)), (x.shape[2], x.shape[3])
        assert isinstance(model.network, CausalNetwork)
        features = model.network.encode(given.context, size)
        inputs = model.inputs.features
        shape, ranks = (size, self._channels * inputs), model.ranks if isinstance(model, InOrder) else None
        self._at = Cursor(model.network, like, *shape, given.y, context=features, order=ranks)
        self.period = self._at.period
        self._pixels = self._at.image.row.unbind(1)
        self._inputs = [part for pixel in self._pixels for part in pixel.split(inputs, 1)[: self._channels]]
        self._params = like
        if start:
            self._at.pass_over(model.network, model.normalise(x[:, :, :start]))
        self._fresh = True

    def start_row(self, row: int) -> None:
        """Move to ``row``, which must be the row below the last one."""
        if not self._fresh:
            self._see(len(self._cells) - 1)
            self._at.end_pixel()
        self._fresh = False
        self._at.start_row()

    def params(self, position: int) -> Tensor:
        """The parameters of the likelihood at a position of this row, (N, P), given everything drawn before it."""
        if position:
            self._see(position - 1)
        column, channel = divmod(position, self._channels)
        if position and channel == 0:
            self._at.move_to(column - 1)  # where it is not any more when a row is drawn again from here
            self._at.end_pixel()
        # If the likelihood couples the channels, all channels of a pixel have the same parameters.
        if channel == 0 or not self._model.likelihood.couples_channels:
            self._at.move_to(column)
            self._params = self._model.network(self._pixels[column], self._at)
        return self._params

    @property
    def recordable(self) -> bool:
        """Whether the caches of all layers are recordable."""
        return self._at.recordable

    @property
    def row_reads(self) -> int:
        """How often a layer read the number of the row. What it computed from it may be wrong for other rows."""
        return self._at.all_row_reads

    def _see(self, position: int) -> None:
        self._model.inputs.write(self._cells[position], self._inputs[position])
