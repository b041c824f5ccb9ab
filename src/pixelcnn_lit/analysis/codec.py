"""Lossless coding of images with the conditionals of a density: a block of images to bytes, and back, bit for bit.

A range coder gives a level of probability p about -log2 p bits, so an image takes about -log2 p(x) in all. For that,
whoever decodes has to have exactly the probabilities of whoever encoded. But sums of floats differ in their last bits
between batch sizes, numbers of threads and machines. So

* the network is computed in float64, where these differences are about 1e-13 nats;
* each log-probability is rounded to a multiple of 1/:data:`STEP` nats, and integer weights of a fixed table stand for
  the multiples; this costs about STEP^-2 / 24 nats a dimension;
* a value that lies within :data:`DRIFT` of the border between two multiples could be rounded differently when it is
  decoded. Whoever encodes writes down how it was rounded, a correction. It is rare.

So the levels are equal as long as two computations differ by less than DRIFT. If they ever do, a checksum says so.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn_lit.any_order import AnyOrder
from pixelcnn_lit.density import Density, even_mixture
from pixelcnn_lit.sampling.conditionals import CachedConditionals, Given, NaiveConditionals
from pixelcnn_lit.sampling.scans import alike, turned

STEP = 16
FLOOR = 18 * STEP
"""The largest multiple: a log-probability below -18 nats counts as -18."""
DRIFT = 2.0**-32
ONE = 2**36
"""The weight of probability 1. Sums of weights are exact in float64."""
CHECKED_ROWS = 4
CORRECTION = np.dtype([("place", "<u4"), ("image", "<u2"), ("level", "<u2"), ("multiple", "<u2")])
"""A log-probability that is given: at a place in raster order, of an image of the block and a level."""

STREAM: Any = constriction.stream
Told = Callable[[float], None]
"""Is called with the share of the work that is done."""
Multiples = NDArray[np.int16]


@dataclass(frozen=True)
class Block:
    """Some images as bytes: what the range coder wrote, and corrections, :data:`CORRECTION`, in the order of places."""

    payload: bytes
    corrections: NDArray[Any]


class WrongDataError(ValueError):
    """The bytes are not what this density has written."""


@cache
def weights() -> NDArray[np.float64]:
    """The weight of each multiple k, e^(-k / STEP) ONE, rounded. From decimal arithmetic, so that no libm matters."""
    with localcontext() as context:
        context.prec = 40
        return np.array([int((Decimal(-k) / STEP).exp() * ONE + Decimal("0.5")) for k in range(FLOOR + 1)], np.float64)


def multiples(logits: Tensor) -> tuple[Multiples, NDArray[np.bool_]]:
    """The multiples for logits (N, levels, ...) in float64, and where the next one is within :data:`DRIFT`."""
    cost = logits.log_softmax(1).mul(-STEP)
    rounded = (cost + 0.5).floor()
    near = (cost + 0.5 - (cost + 0.5).round()).abs() < DRIFT * STEP
    near &= cost < FLOOR
    return rounded.clamp(0, FLOOR).to(torch.int16).cpu().numpy(), near.cpu().numpy()


def in_double(density: Density) -> Density:
    """The density as it codes: in float64, in evaluation mode, and where it takes any order in raster order."""
    coded = density.raster() if isinstance(density, AnyOrder) else density
    return copy.deepcopy(coded).double().eval()


def labels_of(density: Density) -> int:
    """How many labels an image may have: ``y * orders + o`` for class y and scan o; 1 if there are neither."""
    return density.raster().n_classes or 1


@torch.inference_mode()
def label_log_probs(
    density: Density, x: Tensor, batch_size: int, passed: Callable[[int], None] = lambda images: None
) -> Tensor:
    """``log p(x | label)`` in nats: levels (N, C, H, W) -> (N, labels).

    All labels are equally probable, so the mean of the probabilities of a row is p(x). ``passed`` is told of the images
    that the network has seen, each once a label.
    """
    raster, scans = density.raster(), density.scans

    def of(part: Tensor) -> Tensor:
        turns = [scan.turn(part).contiguous() for scan in scans]
        if raster.n_classes is None:
            return raster.log_prob(turns[0])[:, None]
        each = []
        for label in range(raster.n_classes):
            each.append(raster.log_prob(turns[label % len(scans)], label))
            passed(len(part))
        return torch.stack(each, dim=1)

    return torch.cat([of(part) for part in x.split(batch_size)])


@torch.inference_mode()
def encode(density: Density, x: Tensor, batch_size: int, told: Told = lambda share: None) -> tuple[Block, Tensor]:
    """Encode levels x (N, C, H, W), N at most 65,536, with a density of :func:`in_double`; log p(x) in nats, (N,), too.

    Each image is coded in the class and scan, its label, in which it has the fewest bits. The labels come first, -log2
    of 1 / labels each, and then the images given their labels. So an image takes at most log2(labels) bits more than
    -log2 p(x). The network gets ``batch_size`` images at a time.
    """
    several = labels_of(density) > 1
    passed = _counter(len(x) * (1 + labels_of(density) * several), told)
    of_labels = label_log_probs(density, x, batch_size, passed) if several else None
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device) if of_labels is None else of_labels.argmax(1)
    order, log_prob = labels % len(density.scans), torch.empty(len(x), dtype=torch.double, device=x.device)
    coder, family = STREAM.queue.RangeEncoder(), STREAM.model.Categorical(perfect=False)
    if of_labels is not None:
        coder.encode(labels.cpu().numpy().astype(np.int32), STREAM.model.Uniform(labels_of(density)))
    corrections = []
    for part in alike(order, density.scans, (x.shape[2], x.shape[3])):
        own = turned(x[part], order[part], density.scans)
        each, borders, log_prob[part] = _all_multiples(density.raster(), own, labels[part], batch_size, passed)
        levels = _by_place(own.cpu().numpy()[:, None])[..., 0].astype(np.int32)
        for symbols, row in zip(levels, each, strict=True):
            coder.encode(symbols, family, weights()[row])
        corrections.append(_corrections(each, borders, part.cpu().numpy()))
    if of_labels is not None:
        log_prob = even_mixture(of_labels, 1)
    return Block(coder.get_compressed().astype("<u4").tobytes(), np.concatenate(corrections)), log_prob


def _counter(passes: int, told: Told) -> Callable[[int], None]:
    """Counts what is done, up to ``passes``, and tells the share."""
    done = 0

    def passed(more: int) -> None:
        nonlocal done
        done += more
        told(done / passes)

    return passed


def _all_multiples(
    raster: Density, x: Tensor, labels: Tensor, batch_size: int, passed: Callable[[int], None]
) -> tuple[Multiples, NDArray[np.integer[Any]], Tensor]:
    """The multiples of all places (places, N, levels), the indices (K, 3) of those at a border, log p(x | label)."""
    each = np.empty((x[0].numel(), len(x), raster.levels), np.int16)
    borders, log_probs = [], []
    for first in range(0, len(x), batch_size):
        part = slice(first, first + batch_size)
        params = raster.params(x[part], None if raster.n_classes is None else labels[part])
        log_probs.append(raster.likelihood.log_prob(params, x[part]).flatten(1).sum(1))
        for channel in range(x.shape[1]):
            found, near = multiples(raster.likelihood.logits(params, x[part], channel))
            places = slice(channel, None, x.shape[1])
            each[places, part] = _by_place(found[:, :, None])
            at = np.argwhere(_by_place(near[:, :, None]))
            borders.append(at * [x.shape[1], 1, 1] + [channel, first, 0])
        passed(len(params))
    return each, np.concatenate(borders), torch.cat(log_probs)


def _corrections(each: Multiples, borders: NDArray[np.integer[Any]], numbers: NDArray[np.int64]) -> NDArray[Any]:
    """What is written of the multiples at a border, in the order of places; ``numbers`` are those of the images."""
    borders = borders[np.argsort(borders[:, 0], kind="stable")]
    found = np.zeros(len(borders), CORRECTION)
    found["place"], found["image"], found["level"] = borders[:, 0], numbers[borders[:, 1]], borders[:, 2]
    found["multiple"] = each[tuple(borders.T)]
    return found


@torch.inference_mode()
def found_drift(density: Density, x: Tensor) -> float:
    """By how many nats the first rows of x[0] differ between a pass over two images and a pixel at a time; inf for NaN.

    What is more than :data:`DRIFT` may not be decoded: the network computes in less than float64 somewhere.
    """
    raster, x = density.raster(), x[:2]
    labels = None if raster.n_classes is None else torch.zeros(len(x), dtype=torch.long, device=x.device)
    whole = raster.logits(x, labels)[0].log_softmax(0)
    drawn, worst = torch.zeros_like(x[:1]), 0.0
    for place, logits, write in _walk(raster, drawn, None if labels is None else labels[:1], 1):
        pixel, channel = divmod(place, x.shape[1])
        row, column = divmod(pixel, x.shape[3])
        if row == CHECKED_ROWS:
            break
        gap = (logits.log_softmax(1)[0] - whole[:, channel, row, column]).abs()
        coded = ~(whole[:, channel, row, column] <= -FLOOR / STEP)
        worst = max(worst, float(gap[coded].nan_to_num(math.inf).max()))
        write(x[:1, channel, row, column])
    return worst


@torch.inference_mode()
def decode(
    density: Density,
    block: Block,
    shape: tuple[int, int, int, int],
    batch_size: int,
    told: Told = lambda share: None,
) -> Tensor:
    """Decode a block of images (N, C, H, W) with the density that encoded it: levels, uint8.

    The images are decoded side by side, pixel by pixel, by the caches of the sampler, ``batch_size`` a cursor. Where
    scans turn images to two sizes, those of one size come before those of the other.

    Raises WrongDataError for bytes that this density has not written. Not all are noticed here.
    """
    n, channels, height, width = shape
    x = torch.zeros(shape, dtype=torch.uint8, device=density.device)
    coder = STREAM.queue.RangeDecoder(np.frombuffer(block.payload, "<u4").astype(np.uint32))
    _check_corrections(block.corrections, n, density.levels, height * width * channels)
    try:
        several = labels_of(density) > 1
        drawn = coder.decode(STREAM.model.Uniform(labels_of(density)), n) if several else np.zeros(n)
        labels = torch.from_numpy(drawn.astype(np.int64)).to(density.device)
        order, passed = labels % len(density.scans), _counter(math.prod(shape), told)
        for part in alike(order, density.scans, (height, width)):
            own = turned(x[part], order[part], density.scans)
            fixes = _by_number(block.corrections, part.cpu().numpy())
            _decode_alike(density.raster(), coder, own, labels[part], fixes, batch_size, passed)
            x[part] = turned(own, order[part], density.scans, back=True)
    except AssertionError as error:
        raise WrongDataError(str(error)) from error
    return x


def _decode_alike(
    raster: Density,
    coder: Any,
    x: Tensor,
    labels: Tensor,
    fixes: dict[int, list[Any]],
    batch_size: int,
    passed: Callable[[int], None],
) -> None:
    """Decode images of one size into x (N, C, H, W), given their labels (N,). ``passed`` is told of each dimension."""
    family = STREAM.model.Categorical(perfect=False)
    classes = None if raster.n_classes is None else labels
    for place, logits, write in _walk(raster, x, classes, batch_size):
        found, _ = multiples(logits)
        for image, level, multiple in fixes.get(place, ()):
            found[image, level] = multiple
        write(torch.from_numpy(coder.decode(family, weights()[found])).to(x.device, torch.uint8))
        passed(len(x))


def _walk(density: Density, x: Tensor, classes: Tensor | None, batch_size: int) -> Iterator[tuple[int, Tensor, Any]]:
    """For each place: its number, the logits (N, levels) given x before it, and a function that writes its levels."""
    channels, height, width = x.shape[1:]
    rows = [part.new_zeros(len(part), channels, width) for part in x.split(batch_size)]
    given = [Given()] * len(rows) if classes is None else [Given(y) for y in classes.split(batch_size)]
    kind = CachedConditionals if density.has_cached_path else NaiveConditionals
    parts = zip(x.split(batch_size), given, rows, strict=True)
    walks = [kind(density, part, what, row, 0) for part, what, row in parts]
    for number in range(height):
        for walk in walks:
            walk.start_row(number)
        for position in range(width * channels):
            column, channel = divmod(position, channels)
            logits = [
                density.likelihood.logits(walk.params(position), row[:, :, column], channel)
                for walk, row in zip(walks, rows, strict=True)
            ]

            def write(levels: Tensor, column: int = column, channel: int = channel, number: int = number) -> None:
                x[:, channel, number, column] = levels
                for row, part in zip(rows, levels.split(batch_size), strict=True):
                    row[:, channel, column] = part

            yield number * width * channels + position, torch.cat(logits), write


def _by_place(values: NDArray[Any]) -> NDArray[Any]:
    """(N, L, C, H, W) -> (H W C, N, L): the places in raster order first, channels inside."""
    n, levels, channels, height, width = values.shape
    return np.ascontiguousarray(values.transpose(3, 4, 2, 0, 1)).reshape(height * width * channels, n, levels)


def _check_corrections(corrections: NDArray[Any], n: int, levels: int, places: int) -> None:
    """Raise WrongDataError for a correction that lies outside of the block."""
    bounds = (("place", places), ("image", n), ("level", levels), ("multiple", FLOOR + 1))
    if len(corrections) and any(corrections[key].max() >= bound for key, bound in bounds):
        raise WrongDataError("a correction outside of the block")


def _by_number(corrections: NDArray[Any], numbers: NDArray[np.int64]) -> dict[int, list[tuple[int, int, int]]]:
    """The corrections of each place, (image, level, multiple), of the images with these numbers, counted among them."""
    where = {int(number): image for image, number in enumerate(numbers)}
    found: dict[int, list[tuple[int, int, int]]] = {}
    for one in corrections:
        if (image := where.get(int(one["image"]))) is not None:
            found.setdefault(int(one["place"]), []).append((image, int(one["level"]), int(one["multiple"])))
    return found
