"""How well the classes that Bayes' rule gives are calibrated, on images and on noisy ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor

from pixelcnn_lit.data.images import ImageData, LevelImages
from pixelcnn_lit.data.mutate import mutate
from pixelcnn_lit.density import Density
from pixelcnn_lit.progress import progress

BINS = 15


@dataclass(frozen=True)
class Bin:
    """The images of a bin: how many, their mean ``confidence``, and the ``accuracy`` of their most probable class."""

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The ``accuracy`` of the most probable class, its mean probability ``confidence``, and the calibration ``error``.

    ``error = sum over bins of (images in the bin / images) |accuracy - confidence in the bin|``, where 15 bins of equal
    width share the images by their confidence. 0 is right: of the images with confidence 0.8, 80% have that class.
    ``bins`` are those with images in them, from the least sure to the surest.

    Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning" (2015); Guo et al., "On calibration
    of modern neural networks" (2017), arXiv 1706.04599.
    """

    accuracy: float
    confidence: float
    error: float
    bins: tuple[Bin, ...]


def calibration(class_log_probs: Tensor, labels: Tensor) -> Calibration:
    """Judge the classes of images, ``p(y | x)``, from log p(x | y) (N, K) in nats and the labels (N,), for N > 0.

    All classes are equally probable before the image is seen.

    >>> import torch
    >>> from pixelcnn_lit.analysis.calibration import calibration
    >>> found = calibration(torch.tensor([[0.75, 0.25], [0.75, 0.25]]).log(), torch.tensor([0, 1]))
    >>> found.accuracy, round(found.confidence, 4), round(found.error, 4)
    (0.5, 0.75, 0.25)
    """
    posterior = class_log_probs.double().softmax(1)
    confidence, predicted = posterior.max(1)
    right = (predicted == labels).double()
    number = (confidence * BINS).ceil().clamp(1, BINS)  # a bin is open below and closed above
    inside = [number == each for each in range(1, BINS + 1) if (number == each).any()]
    bins = tuple(Bin(int(own.sum()), float(confidence[own].mean()), float(right[own].mean())) for own in inside)
    error = sum(each.images * abs(each.accuracy - each.confidence) for each in bins) / len(labels)
    return Calibration(float(right.mean()), float(confidence.mean()), error, bins)


def with_noise(density: Density, data: ImageData, split: str, share: float, device: torch.device) -> Calibration:
    """The calibration on the images of a split of whose pixels a share has become random levels."""
    images, config = data.split(split), data.config
    noisy = torch.from_numpy(mutate(images.images.numpy(), share, config.levels, config.split_seed))
    changed = LevelImages(noisy, images.labels, images.context_of, images.above)
    found = []
    with torch.inference_mode(), progress(f"images, noise {share:g}", len(changed)) as tell:
        for start in range(0, len(changed), config.batch_size):
            x, _, *context = (part.to(device) for part in changed[start : start + config.batch_size])
            tell(start, "")
            found.append(density.class_log_probs(x, *context).cpu())
    return calibration(torch.cat(found), images.labels)


def table(shares: Sequence[float], found: Sequence[Calibration]) -> Table:
    """A line for each share of random pixels."""
    rows = Table("random pixels", "accuracy", "mean confidence", "calibration error")
    for share, one in zip(shares, found, strict=True):
        rows.add_row(f"{share:g}", f"{one.accuracy:.4%}", f"{one.confidence:.4%}", f"{one.error:.4f}")
    return rows
