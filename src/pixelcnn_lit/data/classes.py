"""The names of classes: their order, and how the numbers of one data set become those of a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

FIXED: Mapping[str, tuple[str, ...]] = {"mnist": DIGITS, "fashion_mnist": FASHION, "cifar10": CIFAR10}
"""The classes of the data sets whose classes are always the same, as torchvision names them."""

MOST_LISTED = 20


def numbered(n_classes: int) -> tuple[str, ...]:
    """The names of classes that have none: their numbers."""
    return tuple(str(number) for number in range(n_classes))


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Names in order; the numbers in them count as numbers.

    >>> from pixelcnn_lit.data.classes import ordered
    >>> ordered(["10", "2", "cat", "1"])
    ('1', '2', '10', 'cat')
    """

    def key(name: str) -> tuple[list[str | int], str]:
        parts = re.split(r"([0-9]+)", name)
        return [int(part) if number % 2 else part for number, part in enumerate(parts)], name

    return tuple(sorted(names, key=key))


def renumbering(found: Sequence[str], known: Sequence[str]) -> NDArray[np.int64] | None:
    """For each class of ``found``, its number among ``known``. None if a class is not among them."""
    if not set(found) <= set(known):
        return None
    return np.array([list(known).index(name) for name in found], dtype=np.int64)


def listed(names: Sequence[str]) -> str:
    """Names in a line, or the first of many."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


def legend(names: Sequence[str]) -> str:
    """Which number is which class, in a line: "0 = cat, 1 = dog"; names that are the numbers are not repeated."""
    if tuple(names) == numbered(len(names)):
        return f"0 to {len(names) - 1}"
    return listed([f"{number} = {name}" for number, name in enumerate(names)])
