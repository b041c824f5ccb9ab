"""Ancestral sampling: the naive reference and the fast cached method, which draw the same images.

The noise is fixed first: one value g of Gumbel noise per pixel, channel and level. ``argmax over l of a_l + T g_l`` is
a draw from softmax(a / T), and T = 0 gives the mode (Gumbel, 1954; Maddison et al., 2014, arXiv 1411.0030). The two
methods compute the logits a of one pixel at a time:

* naive: run the network over the whole image for every pixel, H W times;
* cached: the features of a pixel never change once they are computed, so each causal layer caches the few rows that it
  looks at. At the start of a row, one convolution per layer sums over the rows above. Each pixel is then a few small
  matrix products (Ramachandran et al., 2017, arXiv 1704.06001).

Both methods compute the same sums in different order, so their logits differ in the last bits of float32. If the two
best levels are closer than this error, both methods let the network in float64 decide. So the images are equal, as long
as float32 errors stay well below :data:`~pixelcnn_lit.sampling.ties.TIE`; the tests check this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.sampling.conditionals import CachedConditionals, Conditionals, Given, NaiveConditionals
from pixelcnn_lit.sampling.noise import GumbelNoise, Streams, gumbel
from pixelcnn_lit.sampling.replay import CudaGraph, NotRecordableError, Recording
from pixelcnn_lit.sampling.ties import TieBreaker

Method = Literal["cached", "naive"]


@dataclass(frozen=True)
class SoFar:
    """Images while they are drawn: ``done`` of ``total`` rows, of those in which a pixel is drawn.

    Of a VQ-VAE-2, it is codes that are counted, and ``what`` says of which level: its rows are of different lengths.

    ``seen`` (N, H, W) says which pixels are known or drawn, and ``x`` (N, C, H, W) are their levels; of the others it
    says nothing. Both are the sampler's own: copy what you keep.
    """

    done: int
    total: int
    x: Tensor
    seen: Tensor
    what: str = "row"
    """What is counted."""


Progress = Callable[[SoFar], None]


@dataclass(frozen=True)
class Draw:
    """How to draw: the arguments of :meth:`~pixelcnn_lit.density.Density.sample`, without the images and their classes.

    ``first`` may be the numbers of all images too, where they do not follow each other.

    Raises ValueError for an unknown method, a negative seed, and a temperature that is negative or not finite.
    """

    seed: int
    temperature: float = 1.0
    method: Method = "cached"
    first: int | Sequence[int] = 0
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.method not in ("cached", "naive"):
            raise ValueError(f"method must be 'cached' or 'naive', got {self.method!r}")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be at least 0 and finite, got {self.temperature}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


@torch.inference_mode()
def draw(model: Conditionals, x: Tensor, known: Tensor | None, given: Given, how: Draw) -> Tensor:
    """Draw the pixels of x (N, C, H, W) that are not ``known`` (N, H, W), in raster order and in place. Return x.

    If the classes that are ``given`` are None, a class-conditional model draws them. A network without a
    cached path is sampled naively; the log says so once per network class.
    """
    start, stop = 0, x.shape[2]
    if known is not None:
        x.mul_(known[:, None])
        unknown_rows = (~known).any(2).any(0).nonzero().flatten().tolist()
        start, stop = (unknown_rows[0], unknown_rows[-1] + 1) if unknown_rows else (0, 0)
    if x.numel() == 0 or start == stop:
        return x
    was_training = model.training
    model.eval()
    try:
        if model.n_classes is not None and given.y is None:
            given = given._replace(y=draw_classes(model, x, known, given.context, how))
        seen = _seen(x, known)
        _tell(how.progress, SoFar(0, stop - start, x, seen))
        rows = RowDrawer(model, x, known, given, how, start)
        for row in range(start, stop):
            rows.draw(row)
            seen[:, row] = True
            _tell(how.progress, SoFar(row + 1 - start, stop - start, x, seen))
    finally:
        model.train(was_training)
    return x


def _seen(x: Tensor, known: Tensor | None) -> Tensor:
    return x.new_zeros(len(x), *x.shape[2:], dtype=torch.bool) if known is None else known.clone()


def _tell(progress: Progress | None, so_far: SoFar) -> None:
    if progress is not None:
        progress(so_far)


_told: set[str] = set()


def _tell_of_no_cached_path(model: Conditionals) -> None:
    name = type(model.network).__name__
    if name not in _told:
        _told.add(name)
        logging.getLogger(__name__).warning(
            "%s is not a CausalNetwork with cached_sampling=True: each pixel costs a pass over the whole image", name
        )


def draw_classes(model: Conditionals, x: Tensor, known: Tensor | None, context: Tensor | None, how: Draw) -> Tensor:
    """Draw a class per image, (N,), from ``p(y | the known pixels before the first unknown one)``."""
    assert model.n_classes is not None
    log_posterior = torch.zeros(len(x), model.n_classes, device=x.device)
    if known is not None:
        # 1 before the first unknown pixel of an image, 0 from there on.
        leading = known.flatten(1).cummin(1).values.view_as(known)[:, None]
        rows = int(leading.any(3).any(1).sum(1).max())
        for y in range(model.n_classes if rows else 0):
            nats = model(x[:, :, :rows], torch.full((len(x),), y, device=x.device), context)
            log_posterior[:, y] = -(nats * leading[:, :, :rows]).flatten(1).sum(1)
    streams = Streams(how.seed, how.first, len(x), torch.device("cpu"), "classes")
    noise = gumbel(streams, torch.empty(len(x), model.n_classes))
    return (log_posterior + noise.to(x.device)).argmax(1)


class RowDrawer:
    """Draws one row after the other into x (N, C, H, W).

    The tensors of a row keep their memory. So if all caches are recordable, the operations of a row are recorded once
    and replayed for the other rows. A network with several resolutions has one recording per row of its ``period``.
    """

    def __init__(
        self, model: Conditionals, x: Tensor, known: Tensor | None, given: Given, how: Draw, start: int
    ) -> None:
        n, channels, height, width = x.shape
        self._likelihood = model.likelihood
        self._x, self._known, self._temperature, self._channels = x, known, how.temperature, channels
        self._row = x.new_empty(n, channels, width)
        self._pixels = self._row.unbind(2)
        self._cells = [cell for pixel in self._pixels for cell in pixel.unbind(1)]
        self._known_row = None if known is None else known.new_empty(n, width)
        self._fixed = None if self._known_row is None else self._known_row.unbind(1)
        self._noise = GumbelNoise(how.seed, how.first, x, model.levels, skip_rows=start)
        self._noise_at = self._noise.row.unbind(1)
        self._scores = self._noise.row.new_empty(n, model.levels)
        self._best = self._noise.row.new_empty(len(self._cells), n, 2)
        self._best_at = self._best.unbind(0)
        self._choice = torch.empty(n, 2, dtype=torch.long, device=x.device)
        self._ties = TieBreaker(model, x, given, how.temperature, len(self._cells))
        cached = how.method == "cached" and model.has_cached_path
        if how.method == "cached" and not cached:
            _tell_of_no_cached_path(model)
        self._conditionals = (CachedConditionals if cached else NaiveConditionals)(model, x, given, self._row, start)
        self._period = self._conditionals.period
        self._recordings: dict[int, Recording | CudaGraph] = {}
        self._recording: Recording | CudaGraph | None = None
        self._records = self._conditionals.recordable and height - start > self._period

    def draw(self, row: int) -> None:
        """Draw ``row``, the row below the last one: columns from the left and, within a column, R, G, B.

        Raises UserError if the logits are NaN or infinite.
        """
        self._conditionals.start_row(row)
        self._noise.next_row()
        self._row.copy_(self._x[:, :, row])
        if self._known is not None and self._known_row is not None:
            self._known_row.copy_(self._known[:, row])
        self._pick_all(row % self._period)
        if not self._best[:, :, 0].isfinite().all():
            raise UserError(f"row {row}: the model's logits are NaN or infinite: its weights have gone wrong")
        self._x[:, :, row].copy_(self._row)
        if self._ties.needed:
            self._settle(row)

    def _pick_all(self, phase: int) -> None:
        if phase in self._recordings:
            self._recordings[phase].play()
        elif self._records:
            self._record(phase)
        else:
            self._pick_from()

    def _record(self, phase: int) -> None:
        """Draw a row and record its operations. If they are wrong for other rows, drop them and record no more rows."""
        reads = self._conditionals.row_reads
        self._recording = CudaGraph() if self._x.device.type == "cuda" else Recording()
        try:
            self._recording.record(self._pick_from)
            # If a layer read the number of the row, its result may be wrong for other rows.
            self._records = self._conditionals.row_reads == reads
        except NotRecordableError:
            self._records = False
        if self._records:
            self._recordings[phase] = self._recording
        self._recording = None
        if not self._records:
            self._pick_from()

    def _pick_from(self, begin: int = 0) -> None:
        for position in range(begin, len(self._cells)):
            column, channel = divmod(position, self._channels)
            if self._recording is not None and channel == 0:
                # Before the first pixel of a row, unlike the others, no cache is told of a pixel that was drawn.
                self._recording.start_section(column % self._period if column else self._period)
            params = self._conditionals.params(position)
            logits = self._likelihood.logits(params, self._pixels[column], channel)
            torch.add(logits, self._noise_at[position], alpha=self._temperature, out=self._scores)
            torch.topk(self._scores, 2, out=(self._best_at[position], self._choice))
            self._ties.note(position, params, self._pixels[column], channel)
            cell, chosen = self._cells[position], self._choice[:, 0]
            if self._fixed is not None:
                chosen = torch.where(self._fixed[column], cell, chosen)
            cell.copy_(chosen)

    def _settle(self, row: int) -> None:
        """Settle ties in float64. If that changes a level, draw the positions after it again."""
        settled = 0
        while (tie := self._ties.first_tie(self._best, settled)) is not None:
            position, images = tie
            settled = position + 1
            column, channel = divmod(position, self._channels)
            if self._fixed is not None:
                images = [image for image in images if not self._fixed[column][image]]
            noise, cell = self._noise_at[position], self._cells[position]
            self._x[:, :, row].copy_(self._row)
            verdicts = self._ties.levels(images, row, column, channel, noise[images]) if images else cell[images]
            if not torch.equal(verdicts, cell[images]):
                cell[images] = verdicts
                self._pick_from(settled)
        self._x[:, :, row].copy_(self._row)
