"""Ancestral sampling: the naive reference and the fast cached one, which draw the same images.

The noise is fixed first: with Gumbel noise g, one value a pixel, channel and level, ``argmax over l of a_l + T g_l``
is a draw from softmax(a / T) (Gumbel, 1954; Maddison et al., 2014, arXiv 1411.0030), and T = 0 gives the mode. What
remains is to compute the logits a of one pixel at a time:

* naive: run the network over the whole image for every pixel, H W times;
* cached: a pixel's features never change once they are computed, so let each causal layer keep the few rows that it
  looks at. When a row starts, all that a layer takes from the rows above is one convolution; each pixel is then a
  handful of small matrix products (Ramachandran et al., 2017, arXiv 1704.06001).

Both compute the same sums in another order, so their logits differ in the last bits of float32. Where the two best
levels lie closer than such an error can tell, both ask the same judge: the network in float64. Hence equal images, on
one condition that the tests watch: float32 errors stay well under :data:`TIE`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from pixelcnn_lit.cursor import Cursor
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.tape import CudaGraph, Tape

if TYPE_CHECKING:
    from pixelcnn_lit.density import Density

Method = Literal["cached", "naive"]
Progress = Callable[[int, int], None]

TIE = 8e-6
"""Two scores closer than TIE (1 + |the larger|) are settled in float64."""


@torch.inference_mode()
def draw(
    density: Density,
    x: Tensor,
    known: Tensor | None,
    y: Tensor | None,
    seed: int | None,
    temperature: float,
    method: Method,
    first: int,
    progress: Progress | None,
) -> Tensor:
    """Fill the pixels of x (N, C, H, W) that are not ``known`` (N, H, W), in raster order, in place; return x.

    ``y`` (N,) are the classes of the images; a class-conditional density draws those that it is not given. A network
    whose ``forward`` takes no cursor has no cached path and is sampled naively.
    """
    if method not in ("cached", "naive"):
        raise ValueError(f"method must be 'cached' or 'naive', got {method!r}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
    if seed is not None and seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if seed is None:
        seed = int(torch.randint(2**62, ()))
    start, stop = 0, x.shape[2]
    if known is not None:
        x.mul_(known[:, None])
        unknown_rows = (~known).any(2).any(0).nonzero().flatten().tolist()
        start, stop = (unknown_rows[0], unknown_rows[-1] + 1) if unknown_rows else (0, 0)
    if x.numel() == 0 or start == stop:
        return x
    was_training = density.training
    density.eval()
    try:
        if density.n_classes is not None and y is None:
            y = draw_classes(density, x, known, seed, first)
        cached = method == "cached" and "at" in inspect.signature(density.network.forward).parameters
        rows = RowDrawer(density, x, known, y, seed, temperature, first, start, cached)
        for row in range(start, stop):
            rows.draw(row)
            if progress is not None:
                progress(row + 1 - start, stop - start)
    finally:
        density.train(was_training)
    return x


def draw_classes(density: Density, x: Tensor, known: Tensor | None, seed: int, first: int) -> Tensor:
    """A class for each image of x, drawn from ``p(y | the known pixels before the first unknown one)``: (N,)."""
    assert density.n_classes is not None
    log_posterior = torch.zeros(len(x), density.n_classes, device=x.device)
    if known is not None:
        # 1 up to the first unknown pixel of an image, 0 from there on.
        leading = known.flatten(1).cummin(1).values.view_as(known)[:, None]
        rows = int(leading.any(3).any(1).sum(1).max())
        for y in range(density.n_classes if rows else 0):
            nats = density(x[:, :, :rows], torch.full((len(x),), y, device=x.device))
            log_posterior[:, y] = -(nats * leading[:, :, :rows]).flatten(1).sum(1)
    for image, generator in zip(log_posterior, generators(~seed, first, len(x), x.device), strict=True):
        image -= torch.empty_like(image).exponential_(generator=generator).log_()
    return log_posterior.argmax(1)


class RowDrawer:
    """Draws one row after the other into x.

    Everything that a row needs lies in memory that stays where it is, so the operations of a row can be recorded and
    played again for the others: for every ``period``-th, where a network has several resolutions.
    """

    def __init__(
        self,
        density: Density,
        x: Tensor,
        known: Tensor | None,
        y: Tensor | None,
        seed: int,
        temperature: float,
        first: int,
        start: int,
        cached: bool,
    ) -> None:
        n, channels, height, width = x.shape
        self._likelihood = density.likelihood
        self._x, self._known, self._temperature, self._channels = x, known, temperature, channels
        self._row = x.new_empty(n, channels, width)
        self._pixels = self._row.unbind(2)
        self._cells = [cell for pixel in self._pixels for cell in pixel.unbind(1)]
        self._known_row = None if known is None else known.new_empty(n, width)
        self._fixed = None if self._known_row is None else self._known_row.unbind(1)
        self._noise = GumbelNoise(seed, first, x, density.levels, skip_rows=start)
        self._noise_at = self._noise.row.unbind(1)
        self._scores = self._noise.row.new_empty(n, density.levels)
        self._best = self._noise.row.new_empty(len(self._cells), n, 2)
        self._best_at = self._best.unbind(0)
        self._choice = torch.empty(n, 2, dtype=torch.long, device=x.device)
        self._judge = Judge(density, x, y, temperature, len(self._cells))
        reader = CachedReader if cached else NaiveReader
        self._reader = reader(density, x, y, self._row, start)
        self._period = self._reader.period
        self._tapes: dict[int, Tape | CudaGraph] = {}
        self._tape: Tape | CudaGraph | None = None
        self._records = cached and height - start > self._period

    def draw(self, row: int) -> None:
        """Draw ``row``, the one below the last: columns from the left and, within a column, R, G, B."""
        self._reader.start_row(row)
        self._noise.next_row()
        self._row.copy_(self._x[:, :, row])
        if self._known is not None and self._known_row is not None:
            self._known_row.copy_(self._known[:, row])
        self._pick_all(row % self._period)
        if not self._best[:, :, 0].isfinite().all():
            raise UserError(f"row {row}: the model's logits are NaN or infinite: its weights have gone wrong")
        self._x[:, :, row].copy_(self._row)
        if self._judge.needed:
            self._settle(row)

    def _pick_all(self, phase: int) -> None:
        if not self._records:
            self._pick_from()
        elif phase in self._tapes:
            self._tapes[phase].play()
        else:
            self._tape = self._tapes[phase] = CudaGraph() if self._x.device.type == "cuda" else Tape()
            self._tape.record(self._pick_from)
            self._tape = None

    def _pick_from(self, begin: int = 0) -> None:
        for position in range(begin, len(self._cells)):
            column, channel = divmod(position, self._channels)
            if self._tape is not None and channel == 0:
                self._tape.start_section(column % self._period)
            params = self._reader.params(position)
            logits = self._likelihood.logits(params, self._pixels[column], channel)
            torch.add(logits, self._noise_at[position], alpha=self._temperature, out=self._scores)
            torch.topk(self._scores, 2, out=(self._best_at[position], self._choice))
            self._judge.note(position, params)
            cell, chosen = self._cells[position], self._choice[:, 0]
            if self._fixed is not None:
                chosen = torch.where(self._fixed[column], cell, chosen)
            cell.copy_(chosen)

    def _settle(self, row: int) -> None:
        """Put right what float32 decided otherwise than float64 does, and draw again what comes after it."""
        settled = 0
        while (tie := self._judge.first_tie(self._best, settled)) is not None:
            position, images = tie
            settled = position + 1
            column, channel = divmod(position, self._channels)
            if self._fixed is not None:
                images = [image for image in images if not self._fixed[column][image]]
            noise, cell = self._noise_at[position], self._cells[position]
            self._x[:, :, row].copy_(self._row)
            verdicts = self._judge.levels(images, row, column, channel, noise[images]) if images else cell[images]
            if not torch.equal(verdicts, cell[images]):
                cell[images] = verdicts
                self._pick_from(settled)
        self._x[:, :, row].copy_(self._row)


class NaiveReader:
    """The reference: parameters of one position by running the network over the whole image."""

    period = 1

    def __init__(self, density: Density, x: Tensor, y: Tensor | None, row: Tensor, start: int) -> None:
        self._density, self._x, self._y, self._row, self._number = density, x, y, row, start

    def start_row(self, row: int) -> None:
        """Move to ``row``."""
        self._number = row

    def params(self, position: int) -> Tensor:
        """The likelihood's parameters for a position of this row, given all that was drawn before it: (N, P)."""
        self._x[:, :, self._number].copy_(self._row)
        return self._density.params(self._x, self._y)[:, :, self._number, position // self._x.shape[1]]


class CachedReader:
    """The fast path: a cursor walks over the image, and every causal layer remembers what it will need."""

    def __init__(self, density: Density, x: Tensor, y: Tensor | None, row: Tensor, start: int) -> None:
        """Ready to read row ``start``: the known rows above it cost one ordinary pass over them."""
        self._density, self._channels = density, x.shape[1]
        self._cells = [cell for pixel in row.unbind(2) for cell in pixel.unbind(1)]
        like = next(density.parameters()).new_empty(len(x))
        self._at = Cursor(density.network, like, x.shape[3], self._channels, y)
        self.period = self._at.period
        self._pixels = self._at.image.row.unbind(1)
        self._inputs = [value for pixel in self._pixels for value in pixel.unbind(1)[: self._channels]]
        self._params = like
        if start:
            self._at.pass_over(density.network, density.normalise(x[:, :, :start]))
        self._fresh = True

    def start_row(self, row: int) -> None:
        """Move to ``row``, the one below the last."""
        if not self._fresh:
            self._see(len(self._cells) - 1)
        self._fresh = False
        self._at.start_row()

    def params(self, position: int) -> Tensor:
        """The likelihood's parameters for a position of this row, given all that was drawn before it: (N, P)."""
        if position:
            self._see(position - 1)
        column, channel = divmod(position, self._channels)
        # A network that doesn't tell channels apart has the same to say to all channels of a pixel.
        if channel == 0 or not self._density.likelihood.couples_channels:
            self._at.move_to(column)
            self._params = self._density.network(self._pixels[column], self._at)
        return self._params

    def _see(self, position: int) -> None:
        torch.div(self._cells[position], self._density.levels - 1, out=self._inputs[position])


class GumbelNoise:
    """Standard Gumbel noise for each image, position and level, in raster order.

    Image i has its own generator: its noise doesn't depend on how many images are drawn beside it. Only one row is
    held at a time.
    """

    def __init__(self, seed: int, first: int, x: Tensor, levels: int, skip_rows: int) -> None:
        n, channels, _, width = x.shape
        self._generators = generators(seed, first, n, x.device)
        self.row = torch.empty(n, width * channels, levels, device=x.device)
        for _ in range(skip_rows):
            self._fill()

    def next_row(self) -> None:
        """Put the noise of the next row into ``row``: (N, positions, levels)."""
        self._fill()
        # u = 0 gives -inf, a level that is not chosen; probability 2^-24, less than softmax rounds off.
        self.row.log_().neg_().log_().neg_()

    def _fill(self) -> None:
        for image, generator in zip(self.row, self._generators, strict=True):
            image.uniform_(generator=generator)


def generators(seed: int, first: int, n: int, device: torch.device) -> list[torch.Generator]:
    """One for each image, seeded by (seed, first + i)."""
    # Consecutive seeds keep the images of one run apart; the odd factor keeps runs of neighbouring seeds apart.
    base = seed * 0x9E3779B97F4A7C15 + first
    return [torch.Generator(device).manual_seed((base + i) % 2**63) for i in range(n)]


class Judge:
    """Settles what float32 cannot tell: one position of some images, by the network in float64."""

    def __init__(self, density: Density, x: Tensor, y: Tensor | None, temperature: float, positions: int) -> None:
        self._density, self._x, self._y, self._temperature = density, x, y, temperature
        self._double: Density | None = None
        self.needed = next(density.parameters()).dtype == torch.float32
        self._gain = torch.zeros(positions, len(x), device=x.device)
        self._gain_at = self._gain.unbind(0)

    def note(self, position: int, params: Tensor) -> None:
        """Remember by how much the logits of a position, of parameters (N, P), magnify errors."""
        gain = self._density.likelihood.gain(params, self._x.shape[1])
        if gain is not None:
            self._gain_at[position].copy_(gain)

    def first_tie(self, best: Tensor, begin: int) -> tuple[int, list[int]] | None:
        """The first position from ``begin`` on where the two best scores (P, N, 2) are too close, and its images."""
        larger, smaller = best[begin:].unbind(2)
        ties = larger - smaller < TIE * (1 + larger.abs() + self._gain[begin:])
        if not ties.any():
            return None
        position = int(ties.any(1).nonzero()[0])
        return begin + position, ties[position].nonzero().flatten().tolist()

    def levels(self, images: list[int], row: int, column: int, channel: int, noise: Tensor) -> Tensor:
        """The levels that maximise logits + temperature * noise, (images, levels), in float64: (images,)."""
        if self._double is None:
            self._double = copy.deepcopy(self._density).double()
        above = self._x[images, :, : row + 1]
        params = self._double.params(above, None if self._y is None else self._y[images])
        logits = self._double.likelihood.logits(params[:, :, row, column], above[:, :, row, column], channel)
        return (logits + self._temperature * noise.double()).argmax(1).to(self._x.dtype)
