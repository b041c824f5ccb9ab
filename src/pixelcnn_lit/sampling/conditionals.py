"""The conditionals of an image: all in one pass, or one position at a time for the naive and the cached sampler."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pixelcnn_lit.likelihood import Likelihood
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor


class Conditionals(nn.Module):
    """A network with its likelihood: ``p(x_i | x_1, ..., x_{i-1})`` for all dimensions i, in one pass."""

    def __init__(self, network: nn.Module, likelihood: Likelihood, n_classes: int | None = None) -> None:
        """With ``n_classes``, the network takes classes ``y`` too."""
        super().__init__()
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

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """``-log p(x_i | earlier)`` of each dimension, in nats: levels (N, C, H, W) -> (N, C, H, W).

        With ``n_classes``, y (N,) are the classes of the images, and the result is ``-log p(x_i | earlier, y)``.
        """
        return -self.likelihood.log_prob(self.params(x, y), x)

    def params(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The parameters of the likelihood for each pixel: levels (N, C, H, W) -> (N, P, H, W)."""
        x = self.normalise(x)
        params: Tensor = self.network(x) if self.n_classes is None else self.network(x, y=y)
        return params

    def normalise(self, x: Tensor) -> Tensor:
        """Convert levels to the network's input: ``level / (levels - 1)``, in [0, 1]."""
        return x.to(next(self.parameters()).dtype) / (self.levels - 1)


class NaiveConditionals:
    """The reference: run the network over the whole image for each position."""

    period, recordable, row_reads = 1, False, 0

    def __init__(self, model: Conditionals, x: Tensor, y: Tensor | None, row: Tensor, start: int) -> None:
        self._model, self._x, self._y, self._row, self._number = model, x, y, row, start

    def start_row(self, row: int) -> None:
        """Move to ``row``."""
        self._number = row

    def params(self, position: int) -> Tensor:
        """The parameters of the likelihood at a position of this row, (N, P), given everything drawn before it."""
        self._x[:, :, self._number].copy_(self._row)
        return self._model.params(self._x, self._y)[:, :, self._number, position // self._x.shape[1]]


class CachedConditionals:
    """The fast path: a cursor moves over the image, and each causal layer caches what it needs again."""

    def __init__(self, model: Conditionals, x: Tensor, y: Tensor | None, row: Tensor, start: int) -> None:
        """Prepare for row ``start``. The known rows above it take one pass of the network."""
        self._model, self._channels = model, x.shape[1]
        self._cells = [cell for pixel in row.unbind(2) for cell in pixel.unbind(1)]
        like = next(model.parameters()).new_empty(len(x))
        self._at = Cursor(model.network, like, (x.shape[2], x.shape[3]), self._channels, y)
        self.period = self._at.period
        self._pixels = self._at.image.row.unbind(1)
        self._inputs = [value for pixel in self._pixels for value in pixel.unbind(1)[: self._channels]]
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
        torch.div(self._cells[position], self._model.levels - 1, out=self._inputs[position])
