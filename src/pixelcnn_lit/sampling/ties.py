"""Ties: if float32 is too inexact to decide which level is drawn, float64 decides, for both sampling methods."""

from __future__ import annotations

import copy
from functools import singledispatch

import torch
from torch import Tensor

from pixelcnn_lit.device import WITHOUT_FLOAT64, in_double
from pixelcnn_lit.likelihood import Categorical, Likelihood, LogisticMixture
from pixelcnn_lit.sampling.conditionals import Conditionals, Given

TIE = 8e-6
"""Two scores are a tie if they differ by less than TIE * (1 + |larger score| + error gain)."""


@singledispatch
def error_gain(likelihood: Likelihood, params: Tensor, x: Tensor, channel: int) -> Tensor | None:
    """The factor by which the logits of a channel amplify an error of the parameters: (N,), or None if they do not.

    ``params`` are (N, P), ``x`` the levels of the pixel (N, C). This general version shifts the parameters by small
    steps in two patterns, and takes the largest change of the logits of likely levels. ``error_gain.register`` adds an
    exact formula for a likelihood.
    """
    step = 1e-3
    number = torch.arange(params.shape[1], device=params.device)
    logits = likelihood.logits(params, x, channel)
    likely = logits > logits.amax(1, keepdim=True) - 30
    gain = torch.zeros_like(logits[:, 0])
    for pattern in (number % 2, number // 2 % 2):
        moved = params + step * (2 * pattern - 1) * (1 + params.abs())
        moves = (likelihood.logits(moved, x, channel) - logits).abs() / step
        gain = torch.maximum(gain, torch.where(likely, moves, 0).amax(1))
    return gain


@error_gain.register
def _(likelihood: Categorical, params: Tensor, x: Tensor, channel: int) -> None:
    return None


@error_gain.register
def _(likelihood: LogisticMixture, params: Tensor, x: Tensor, channel: int) -> Tensor:
    """An error of a mean is amplified by 1/s, so the gain is the largest 1/s of the pixel."""
    scales = likelihood.log_scale(params.unflatten(1, (-1, likelihood.n_mix)), x.shape[1])
    return scales.amin((1, 2)).neg().exp()


class TieBreaker:
    """Finds ties in the scores of a row, and settles them with a float64 copy of the network.

    The copy is on the device of the images, or on the CPU if that device has no float64.
    """

    def __init__(self, model: Conditionals, x: Tensor, given: Given, temperature: float, positions: int) -> None:
        self._model, self._x, self._given, self._temperature = model, x, given, temperature
        self._double: Conditionals | None = None
        self._judge = torch.device("cpu") if x.device.type in WITHOUT_FLOAT64 else x.device
        self.needed = next(model.parameters()).dtype == torch.float32
        self._gain = torch.zeros(positions, len(x), device=x.device)
        self._gain_at = self._gain.unbind(0)

    def note(self, position: int, params: Tensor, x: Tensor, channel: int) -> None:
        """Store the error gain at a position, from the parameters (N, P) and the levels of the pixel (N, C)."""
        gain = error_gain(self._model.likelihood, params, x, channel)
        if gain is not None:
            self._gain_at[position].copy_(gain)

    def first_tie(self, best: Tensor, begin: int) -> tuple[int, list[int]] | None:
        """The first position from ``begin`` on with a tie, and the images that have it; None if there is no tie.

        ``best`` (positions, N, 2) are the two best scores, the larger first.
        """
        larger, smaller = best[begin:].unbind(2)
        ties = larger - smaller < TIE * (1 + larger.abs() + self._gain[begin:])
        if not ties.any():
            return None
        position = int(ties.any(1).nonzero()[0])
        return begin + position, ties[position].nonzero().flatten().tolist()

    def levels(self, images: list[int], row: int, column: int, channel: int, noise: Tensor) -> Tensor:
        """The levels, one per image, that maximise logits + temperature * noise in float64.

        ``noise`` is (images, levels).
        """
        if self._double is None:
            self._double = copy.deepcopy(self._model).to(self._judge).double()
        above = self._x[images, :, : row + 1].to(self._judge)
        y, context = (None if part is None else part.to(self._judge) for part in self._given.of(images))
        params = self._double.of(images).params(above, y, None if context is None else context.double())
        logits = self._double.likelihood.logits(params[:, :, row, column], above[:, :, row, column], channel)
        return (logits + self._temperature * in_double(noise)).argmax(1).to(self._x)
