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

from pixelcnn_lit.layers import CausalConv2d, Cursor

if TYPE_CHECKING:
    from pixelcnn_lit.density import Density

Method = Literal["cached", "naive"]
Progress = Callable[[int, int], None]

TIE = 2e-5
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
        reader = CachedReader(density, x, start) if cached else NaiveReader(density, x)
        noise = GumbelNoise(seed, first, x, density.levels, skip_rows=start)
        judge = Judge(density, x, temperature)
        for row in range(start, stop):
            reader.start_row(row)
            _draw_row(reader, row, x, known, noise.next_row(), temperature, judge)
            if progress is not None:
                progress(row + 1 - start, stop - start)
    finally:
        density.train(was_training)
    return x


def _draw_row(
    reader: NaiveReader | CachedReader,
    row: int,
    x: Tensor,
    known: Tensor | None,
    noise: tuple[Tensor, ...],
    temperature: float,
    judge: Judge,
) -> None:
    """Draw one row, position by position: columns from the left and, within a column, R, G, B."""
    n, channels, _, width = x.shape
    cells = [x[:, channel, row, column] for column in range(width) for channel in range(channels)]
    fixed = None if known is None else [known[:, row, column] for column in range(width)]
    levels = noise[0].shape[1]
    scores = noise[0].new_empty(n, levels)
    best = noise[0].new_empty(len(cells), n, 2)
    choice = torch.empty(n, 2, dtype=torch.long, device=x.device)
    best_by_position = best.unbind(0)
    chosen = choice[:, 0]

    def pick(begin: int) -> None:
        for position in range(begin, len(cells)):
            torch.add(reader.logits(position), noise[position], alpha=temperature, out=scores)
            torch.topk(scores, 2, out=(best_by_position[position], choice))
            cell = cells[position]
            if fixed is None:
                cell.copy_(chosen)
            else:
                cell.copy_(torch.where(fixed[position // channels], cell, chosen))

    pick(0)
    if judge.needed:
        settled = 0
        while (tie := judge.first_tie(best, settled)) is not None:
            position, images = tie
            settled = position + 1
            column, channel = divmod(position, channels)
            if fixed is not None:
                images = [i for i in images if not fixed[column][i]]
            verdicts = [judge.level(i, row, column, channel, noise[position][i]) for i in images]
            if verdicts != cells[position][images].tolist():
                cells[position][images] = torch.tensor(verdicts, dtype=x.dtype, device=x.device)
                pick(settled)


class NaiveReader:
    """The reference: logits of one position by running the network over the whole image."""

    def __init__(self, density: Density, x: Tensor) -> None:
        self._density, self._x, self._row = density, x, 0

    def start_row(self, row: int) -> None:
        """Move to ``row``."""
        self._row = row

    def logits(self, position: int) -> Tensor:
        """The logits (N, levels) of a position of this row, given everything that x holds before it."""
        column, channel = divmod(position, self._x.shape[1])
        params = self._density.network(self._density.normalise(self._x))
        return self._density.likelihood.logits(params)[:, channel, :, self._row, column]


class CachedReader:
    """The fast path: a cursor walks over the image, and every causal layer remembers what it will need."""

    def __init__(self, density: Density, x: Tensor, start: int) -> None:
        """Ready to read row ``start``: the known rows above it cost one ordinary pass over them."""
        self._density, self._x, self._row = density, x, start
        self._channels, width = x.shape[1], x.shape[3]
        self._network, self._logits = density.network, density.likelihood.logits
        reach = max(layer.reach for layer in density.network.modules() if isinstance(layer, CausalConv2d))
        like = next(density.parameters()).new_empty(len(x))
        self._at = Cursor(like, reach + 1, width, self._channels)
        self._pixels = self._at.image.rows[:, -1].unbind(1)
        self._inputs = [pixel[:, channel] for pixel in self._pixels for channel in range(self._channels)]
        if start:
            above = density.normalise(x[:, :, :start])
            self._at.image.fill(above)
            self._at.priming = True
            self._network(above, self._at)
            self._at.priming = False
        self._cells: list[Tensor] = []

    def start_row(self, row: int) -> None:
        """Move to ``row``, the one below the last."""
        if self._cells:
            self._see(len(self._cells) - 1)
        self._at.start_row()
        row_of_x = self._x[:, :, row].unbind(2)
        self._cells = [cell for pixel in row_of_x for cell in pixel.unbind(1)]

    def logits(self, position: int) -> Tensor:
        """The logits (N, levels) of a position, once those before it in the row have been drawn."""
        if position:
            self._see(position - 1)
        column, channel = divmod(position, self._channels)
        self._at.column = column
        return self._logits(self._network(self._pixels[column], self._at))[:, channel]

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
        self._row = torch.empty(n, width * channels, levels, device=x.device)
        for _ in range(skip_rows):
            self._fill()

    def next_row(self) -> tuple[Tensor, ...]:
        """The noise of the next row: for each position (N, levels)."""
        self._fill()
        # u = 0 gives -inf, a level that is not chosen; probability 2^-24, less than softmax rounds off.
        return self._row.log_().neg_().log_().neg_().unbind(1)

    def _fill(self) -> None:
        for image, generator in zip(self._row, self._generators, strict=True):
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
