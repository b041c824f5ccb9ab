"""How well a model completes: the bits of hidden pixels given the known ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pixelcnn_lit.analysis.batches import batches_of
from pixelcnn_lit.config.types import Occlusion
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.density import Density
from pixelcnn_lit.masks import visible_beside


@dataclass(frozen=True)
class HiddenScore:
    """The score of the hidden part of the images of a split.

    ``bits`` is the mean of ``-log2 q(hidden | known)`` of an image, ``dimensions`` how many hidden ones an image has,
    ``unused`` how many of the ``known`` pixels cannot condition the hidden ones before them.
    """

    bits: float
    dimensions: int
    known: int
    unused: int


def score_hidden(
    density: Density, data: ImageData, split: str, device: torch.device, occluded: Occlusion, seed: int
) -> HiddenScore:
    """Score one hidden part of the images of a split, with a progress bar: in bits, of what completions are drawn from.

    Of a class-conditional density the class is not given: the known pixels weigh the classes.
    """
    shape = data.split(split).images.shape
    known, total = visible_beside(occluded, shape[2], shape[3], seed), torch.zeros((), dtype=torch.double)
    with batches_of(data, split, device, ", hidden") as batches:
        for x, _, *context in batches:
            total -= density.completion_log_prob(x, known, None, *context).cpu().double().sum()
    hidden = int((~known).sum())
    return HiddenScore(
        float(total) / (shape[0] * math.log(2)), hidden * shape[1], int(known.sum()), density.unused(known)
    )
