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
from torch import Tensor, nn

from pixelcnn_lit.layers import Cursor
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
    seed: int | None,
    temperature: float,
    method: Method,
    first: int,
    progress: Progress | None,
) -> Tensor:
    """Fill the pixels of x (N, C, H, W) that are not ``known`` (N, H, W), in raster order, in place; return x.

    A network whose ``forward`` takes no cursor has no cached path and is sampled naively.
    """
    if method not in ("cached", "naive"):
        raise ValueError(f"method must be 'cached' or 'naive', got {method!r}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
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
        cached = method == "cached" and "at" in inspect.signature(density.network.forward).parameters
        rows = RowDrawer(density, x, known, seed, temperature, first, start, cached)
        for row in range(start, stop):
            rows.draw(row)
            if progress is not None:
                progress(row + 1 - start, stop - start)
    finally:
        density.train(was_training)
    return x


class RowDrawer:
    """Draws one row after the other into x.

    Everything that a row needs lies in memory that stays where it is, so the operations of the first row can be
    recorded and played again for the others.
    """

    def __init__(
        self,
        density: Density,
        x: Tensor,
        known: Tensor | None,
        seed: int,
        temperature: float,
        first: int,
        start: int,
        cached: bool,
    ) -> None:
        n, channels, height, width = x.shape
        self._x, self._known, self._temperature, self._channels = x, known, temperature, channels
        self._row = x.new_empty(n, channels, width)
        self._cells = [cell for pixel in self._row.unbind(2) for cell in pixel.unbind(1)]
        self._known_row = None if known is None else known.new_empty(n, width)
        self._fixed = None if self._known_row is None else self._known_row.unbind(1)
        self._noise = GumbelNoise(seed, first, x, density.levels, skip_rows=start)
        self._noise_at = self._noise.row.unbind(1)
        self._scores = self._noise.row.new_empty(n, density.levels)
        self._best = self._noise.row.new_empty(len(self._cells), n, 2)
        self._best_at = self._best.unbind(0)
        self._choice = torch.empty(n, 2, dtype=torch.long, device=x.device)
        self._judge = Judge(density, x, temperature)
        reader = CachedReader if cached else NaiveReader
        self._reader = reader(density, x, self._row, self._cells, start)
        self._tape: Tape | CudaGraph | None = None
        if cached and height - start > 1:
            self._tape = CudaGraph() if x.device.type == "cuda" else Tape()
        self._recorded = False

    def draw(self, row: int) -> None:
        """Draw ``row``, the one below the last: columns from the left and, within a column, R, G, B."""
        self._reader.start_row(row)
        self._noise.next_row()
        self._row.copy_(self._x[:, :, row])
        if self._known is not None and self._known_row is not None:
            self._known_row.copy_(self._known[:, row])
        self._pick_all()
        self._x[:, :, row].copy_(self._row)
        if self._judge.needed:
            self._settle(row)

    def _pick_all(self) -> None:
        if self._tape is None:
            self._pick_from()
        elif self._recorded:
            self._tape.play()
        else:
            self._tape.record(self._pick_from)
            self._recorded = True

    def _pick_from(self, begin: int = 0) -> None:
        for position in range(begin, len(self._cells)):
            if self._tape is not None:
                self._tape.start_section()
            logits = self._reader.logits(position)
            torch.add(logits, self._noise_at[position], alpha=self._temperature, out=self._scores)
            torch.topk(self._scores, 2, out=(self._best_at[position], self._choice))
            cell, chosen = self._cells[position], self._choice[:, 0]
            if self._fixed is not None:
                chosen = torch.where(self._fixed[position // self._channels], cell, chosen)
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
            verdicts = [self._judge.level(image, row, column, channel, noise[image]) for image in images]
            if verdicts != cell[images].tolist():
                cell[images] = torch.tensor(verdicts, dtype=cell.dtype, device=cell.device)
                self._pick_from(settled)
                self._x[:, :, row].copy_(self._row)


class NaiveReader:
    """The reference: logits of one position by running the network over the whole image."""

    def __init__(self, density: Density, x: Tensor, row: Tensor, cells: list[Tensor], start: int) -> None:
        self._density, self._x, self._row, self._number = density, x, row, start

    def start_row(self, row: int) -> None:
        """Move to ``row``."""
        self._number = row

    def logits(self, position: int) -> Tensor:
        """The logits (N, levels) of a position of this row, given all that was drawn before it."""
        column, channel = divmod(position, self._x.shape[1])
        self._x[:, :, self._number].copy_(self._row)
        params = self._density.network(self._density.normalise(self._x))
        return self._density.likelihood.logits(params)[:, channel, :, self._number, column]


class CachedReader:
    """The fast path: a cursor walks over the image, and every causal layer remembers what it will need."""

    def __init__(self, density: Density, x: Tensor, row: Tensor, cells: list[Tensor], start: int) -> None:
        """Ready to read row ``start``: the known rows above it cost one ordinary pass over them."""
        self._density, self._cells, self._channels = density, cells, x.shape[1]
        like = next(density.parameters()).new_empty(len(x))
        self._at = Cursor(density.network, like, x.shape[3], self._channels)
        self._pixels = self._at.image.row.unbind(1)
        self._inputs = [value for pixel in self._pixels for value in pixel.unbind(1)]
        if start:
            above = density.normalise(x[:, :, :start])
            self._at.image.fill(above)
            self._at.priming = True
            density.network(above, self._at)
            self._at.priming = False
        self._fresh = True

    def start_row(self, row: int) -> None:
        """Move to ``row``, the one below the last."""
        if not self._fresh:
            self._see(len(self._cells) - 1)
        self._fresh = False
        self._at.start_row()

    def logits(self, position: int) -> Tensor:
        """The logits (N, levels) of a position of this row, given all that was drawn before it."""
        if position:
            self._see(position - 1)
        column, channel = divmod(position, self._channels)
        self._at.column = column
        params = self._density.network(self._pixels[column], self._at)
        return self._density.likelihood.logits(params)[:, channel]

    def _see(self, position: int) -> None:
        torch.div(self._cells[position], self._density.levels - 1, out=self._inputs[position])


class GumbelNoise:
    """Standard Gumbel noise for each image, position and level, in raster order.

    Image i has its own generator, on the device of the images and seeded by (seed, first + i): its noise doesn't
    depend on how many images are drawn beside it. Only one row is held at a time.
    """

    def __init__(self, seed: int, first: int, x: Tensor, levels: int, skip_rows: int) -> None:
        n, channels, _, width = x.shape
        # Consecutive seeds keep the images of one run apart; the odd factor keeps runs of neighbouring seeds apart.
        base = seed * 0x9E3779B97F4A7C15 + first
        self._generators = [torch.Generator(x.device).manual_seed((base + i) % 2**63) for i in range(n)]
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


class Judge:
    """Settles what float32 cannot tell: one image, one position, by the network in float64."""

    def __init__(self, density: Density, x: Tensor, temperature: float) -> None:
        self._density, self._x, self._temperature = density, x, temperature
        self._network: nn.Module | None = None
        self.needed = next(density.parameters()).dtype == torch.float32

    def first_tie(self, best: Tensor, begin: int) -> tuple[int, list[int]] | None:
        """The first position from ``begin`` on where the two best scores (P, N, 2) are too close, and its images."""
        larger, smaller = best[begin:].unbind(2)
        ties = larger - smaller < TIE * (1 + larger.abs())
        if not ties.any():
            return None
        position = int(ties.any(1).nonzero()[0])
        return begin + position, ties[position].nonzero().flatten().tolist()

    def level(self, image: int, row: int, column: int, channel: int, noise: Tensor) -> int:
        """The level that maximises logits + temperature * noise (levels,) in float64."""
        if self._network is None:
            self._network = copy.deepcopy(self._density.network).double()
        above = self._x[image : image + 1, :, : row + 1].double() / (self._density.levels - 1)
        logits = self._density.likelihood.logits(self._network(above))[0, channel, :, row, column]
        return int((logits + self._temperature * noise.double()).argmax())
