"""The three splits of a data set as they are read, and how validation images are held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelcnn_lit.data.classes import numbered
from pixelcnn_lit.errors import UserError

MAX_BYTES = 2**33
"""The most bytes of intensities that a file or a data set may need, 8 GiB. Larger ones are refused."""


@dataclass(frozen=True)
class Split:
    """Images as intensities (N, C, H, W) uint8, and their labels (N,) int64, which are 0 for images without classes.

    A data set that holds levels, such as that of codes, has them in place of intensities, of the type that
    :func:`~pixelcnn_lit.nn.inputs.level_type` says.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    above: NDArray[Any] | None = None
    """Of maps of codes below the top, the map of the level above, (N, 1, H / f, W / f)."""
    files: NDArray[np.str_] | None = None
    """Of images that are a file each, their paths (N,) below the folder of all."""

    def __post_init__(self) -> None:
        """Raise ValueError unless there is a label for each image."""
        got = self.labels.shape if isinstance(self.labels, np.ndarray) else type(self.labels).__name__
        if got != (len(self.images),):
            raise ValueError(f"{len(self.images)} images need labels in an array ({len(self.images)},), not {got}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: NDArray[np.int64]) -> Split:
        above = None if self.above is None else self.above[indices]
        files = None if self.files is None else self.files[indices]
        return Split(self.images[indices], self.labels[indices], above, files)


@dataclass(frozen=True)
class Splits:
    """The three splits of a data set, their ``source``, and the number and names of the classes.

    ``n_classes`` is 0 if the images have no labels; otherwise every label is below it. ``class_names`` has a name for
    each class; without it, or with None, they are called "0", "1" and so on.
    """

    train: Split
    val: Split
    test: Split
    source: str
    n_classes: int
    class_names: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each class."""
        return numbered(self.n_classes) if self.class_names is None else self.class_names


def hold_out(whole: Split, test: Split, split_seed: int, source: str, n_classes: int, where: str) -> Splits:
    """Hold out a twelfth of the training images for validation: MNIST's 60,000 become 55,000 and 5,000.

    Args:
        whole: The training images.
        test: The test images.
        split_seed: Determines which images are held out.
        source: A name for where the images come from.
        n_classes: The number of classes, 0 for images without labels.
        where: The beginning of an error message.

    Raises UserError for fewer than 12 training images or no test image.
    """
    if len(whole) < 12 or len(test) < 1:
        found = f"{len(whole)} training and {len(test)} test images"
        raise UserError(f"{where}: {found}; at least 12 and 1 are needed")
    order = np.random.default_rng(split_seed).permutation(len(whole))
    val, train = np.split(order, [len(order) // 12])
    return Splits(whole[train], whole[val], test, source, n_classes)


def in_three(whole: Split, split_seed: int, source: str, n_classes: int, where: str) -> Splits:
    """Split images without a test split: a tenth for test, a tenth for validation, the rest for training.

    ``split_seed`` determines which images go where. Raises UserError, which begins with ``where``, for fewer than 10
    images.
    """
    if len(whole) < 10:
        raise UserError(f"{where}: {len(whole)} images; at least 10 are needed, since a tenth each is for val and test")
    order = np.random.default_rng(split_seed).permutation(len(whole))
    tenth = len(order) // 10
    train, val, test = np.split(order, [len(order) - 2 * tenth, len(order) - tenth])
    return Splits(whole[train], whole[val], whole[test], source, n_classes)
