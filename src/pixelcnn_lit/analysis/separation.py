"""How well a score tells two sets of images apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_specificity_at_sensitivity

PASS = 0.95
"""The share of the own images that have to pass."""


@dataclass(frozen=True)
class Separation:
    """How well a score tells other images from a model's own.

    ``auroc`` is the probability that another image has a higher score than an own one, ties counted by half: 1 is
    right, 0.5 is chance. ``passed`` is the least share of other images that pass a bound on the score which at least
    95% of the own images pass: the "FPR at 95% TPR", 0 at best.
    """

    auroc: float
    passed: float


def separation(own: Tensor, other: Tensor) -> Separation:
    """Compare the scores of own images (N,) and of others (M,), higher for a stranger one; both finite and not empty.

    >>> import torch
    >>> from pixelcnn_lit.analysis.separation import separation
    >>> found = separation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 4000.0]))
    >>> round(found.auroc, 4), found.passed
    (0.9167, 0.5)
    """
    # torchmetrics takes numbers outside of [0, 1] for logits, and its sigmoid would make ties of large ones: so ranks.
    _, rank = torch.cat([own, other]).double().unique(return_inverse=True)
    familiar = 1 - rank / max(1, int(rank.max()))
    is_own = torch.cat([torch.ones(len(own)), torch.zeros(len(other))]).long()
    specificity, _ = binary_specificity_at_sensitivity(familiar, is_own, min_sensitivity=PASS)
    return Separation(float(binary_auroc(familiar, is_own)), 1 - float(specificity))
