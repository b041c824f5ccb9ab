"""The images of a data set as levels: each split is one tensor, and a batch is an index into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pixelcnn_lit.config import DataConfig
from pixelcnn_lit.config.context import ContextConfig, NoContext
from pixelcnn_lit.data.binarise import binarise, chances
from pixelcnn_lit.data.classes import listed, numbered, renumbering
from pixelcnn_lit.data.contexts import ContextOf, context_of
from pixelcnn_lit.data.datasets import load
from pixelcnn_lit.data.quantise import quantise
from pixelcnn_lit.data.splits import Split
from pixelcnn_lit.device import has_room
from pixelcnn_lit.errors import UserError

Batch = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]
"""Levels (N, C, H, W), uint8 up to 256 of them, labels (N,) int64, and contexts (N, F, H', W') where there are any."""

TrainingBatch = Batch | tuple[Tensor, Tensor, None, Tensor]
"""A batch; where its levels were drawn, each by itself, the chances of a 1 (N, C, H, W) may come last, in [0, 1]."""


class LevelImages(Dataset[Batch]):
    """A split as one tensor of levels. A tensor of indices gives a whole batch, without a loop over images."""

    def __init__(self, images: Tensor, labels: Tensor, context_of: ContextOf, above: Tensor | None = None) -> None:
        """The contexts are made of the images, or of the maps ``above`` them where there are any."""
        self.images, self.labels, self.context_of, self.above = images, labels, context_of, above

    def on(self, device: torch.device) -> LevelImages:
        """A copy of the split in the memory of ``device``, so that training steps copy nothing from the host."""
        above = None if self.above is None else self.above.to(device)
        return LevelImages(self.images.to(device), self.labels.to(device), self.context_of, above)

    def labelled(self, labels: Tensor) -> LevelImages:
        """The same images with other labels."""
        return LevelImages(self.images, labels, self.context_of, self.above)

    def first(self, n: int) -> LevelImages:
        """The first n of the images."""
        above = None if self.above is None else self.above[:n]
        return LevelImages(self.images[:n], self.labels[:n], self.context_of, above)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor | slice) -> Batch:
        above = None if self.above is None else self.above[indices]
        return given(self.images[indices], self.labels[indices], self.context_of, above)


def given(images: Tensor, labels: Tensor, context_of: ContextOf, above: Tensor | None = None) -> Batch:
    """A batch, with the contexts of its images if they have any; they are made of ``above`` where it is given."""
    context = context_of(images if above is None else above)
    return (images, labels) if context is None else (images, labels, context)


class BatchIndices(Sampler[Tensor]):
    """Yields the indices of each batch of an epoch, for one of ``world`` processes.

    The processes share each global batch of world x batch_size images. Every process takes every step, and every image
    is used once per epoch; so in the last batch, a process may get fewer images or none.

    Args:
        length: The number of images.
        batch_size: Images per batch and process.
        seed: The order of epoch e is a function of (seed, e). None: the order of the images.
        rank: The number of this process.
        world: The number of processes.
        device: The device of the indices.
        reshuffle: False: use the order of epoch 0 in all epochs.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        device: torch.device | None = None,
        *,
        reshuffle: bool = True,
    ) -> None:
        self.reshuffle = reshuffle
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.rank, self.world, self.device = rank, world, device
        self.epoch = 0
        self._start = (0, 0)

    def start_at(self, epoch: int, batch: int) -> None:
        """Skip the first ``batch`` batches of ``epoch``, which a resumed run has done before."""
        self._start = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch. Lightning calls this before each epoch."""
        self.epoch = epoch

    def order(self) -> Tensor:
        """The order of all images in this epoch, (length,)."""
        if self.seed is None:
            return torch.arange(self.length, device=self.device)
        order = np.random.default_rng((self.seed, self.epoch if self.reshuffle else 0)).permutation(self.length)
        return torch.from_numpy(order).to(self.device)

    def __iter__(self) -> Iterator[Tensor]:
        first = self._start[1] if self.epoch == self._start[0] else 0
        for whole in self.order().split(self.batch_size * self.world)[first:]:
            yield whole[self.rank :: self.world]

    def __len__(self) -> int:
        return -(-self.length // (self.batch_size * self.world))

    def images_in(self, first: int, stop: int) -> int:
        """The number of images in the global batches ``first`` to ``stop - 1`` of an epoch."""
        size = self.batch_size * self.world
        return min(stop * size, self.length) - min(first * size, self.length)


class RedrawnImages(Dataset[TrainingBatch]):
    """The training images under dynamic binarisation, drawn anew each epoch as a function of (seed, epoch).

    A batch has the chances of its draws too, for a density to learn from. With contexts it has not: these are made of
    the drawn images, and so tell of each draw.
    """

    def __init__(self, split: Split, seed: int, order: BatchIndices, context_of: ContextOf) -> None:
        self._split, self._seed, self._order, self._context_of = split, seed, order, context_of

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, indices: Tensor) -> TrainingBatch:
        numbers = indices.numpy()
        drawn = self._split[numbers]
        images = torch.from_numpy(binarise(drawn.images, numbers, ANEW, self._seed, self._order.epoch))
        batch = given(images, torch.from_numpy(drawn.labels), self._context_of)
        return (*batch, None, torch.from_numpy(chances(drawn.images))) if len(batch) == 2 else batch


PARTS = ("train", "val", "test")
ANEW, ONCE = 1, 2  # the first number of the key of binarise, so that the two kinds of draws differ
OWN = len(PARTS)
"""The number of a part that is in no data set: a user's own pictures."""


def as_levels(intensities: NDArray[Any], config: DataConfig, part: int, binarisation: int = 0) -> NDArray[Any]:
    """Intensities (N, C, H, W) as the levels of ``config``.

    To binarise, they are drawn once, by the numbers of the part and of the ``binarisation``.
    """
    if config.holds_levels:
        return intensities
    if config.binarize == "dynamic":
        return binarise(intensities, np.arange(len(intensities)), ONCE, config.split_seed, part, binarisation)
    return quantise(intensities, config.levels)


class ImageData:
    """The three splits of a data set, quantised to ``config.levels`` levels or binarised.

    Under dynamic binarisation, only the training loader draws the images anew. :meth:`split` gives images that are
    drawn once, as a function of ``config.split_seed``, so every epoch and every run is evaluated on the same images.

    >>> from pixelcnn_lit import compose
    >>> from pixelcnn_lit.data.images import ImageData
    >>> data = ImageData(compose(["data=digits", "data.levels=4"]).data, seed=0)
    >>> levels, labels = next(iter(data.loader("train", shuffle=True)))
    >>> levels.shape, levels.dtype, labels.shape
    (torch.Size([128, 1, 28, 28]), torch.uint8, torch.Size([128]))
    >>> int(levels.max())
    3
    """

    def __init__(
        self,
        config: DataConfig,
        seed: int,
        *,
        context: ContextConfig | None = None,
        reshuffle: bool = True,
        binarisation: int = 0,
    ) -> None:
        """``seed`` determines the order of the training images, and their draws under dynamic binarisation.

        After :meth:`setup`, ``class_names`` are the classes, and ``named`` is False where these are but their numbers.

        With ``context``, batches have the contexts of their images too. Without ``reshuffle`` the order is the same in
        each epoch. :meth:`split` has the draws of number ``binarisation``; all else compares in those of number 0.
        :meth:`setup` reads the images.
        """
        self._context_of = context_of(context or NoContext(name="none"), config.levels)
        self._reshuffle, self._binarisation = reshuffle, binarisation
        self.config, self.seed = config, seed
        self.source = ""
        self.class_names: tuple[str, ...] = ()
        self.named = False
        self._splits: dict[str, LevelImages] = {}
        self._files: dict[str, NDArray[np.str_]] = {}
        self._redrawn: Split | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read the images and convert them to levels, once. Raise UserError if they cannot be read or downloaded."""
        if self._splits:
            return
        config = self.config
        splits = load(config)
        self.source = splits.source
        self.class_names, self.named = splits.names, bool(splits.class_names)
        if config.n_classes > splits.n_classes:
            self.class_names = numbered(config.n_classes)
        for number, part in enumerate(PARTS):
            split: Split = getattr(splits, part)
            images = as_levels(split.images, config, number, self._binarisation)
            above = None if split.above is None else torch.from_numpy(split.above)
            labels = torch.from_numpy(split.labels)
            if split.files is not None:
                self._files[part] = split.files
            self._splits[part] = LevelImages(torch.from_numpy(images), labels, self._context_of, above)
        if config.binarize == "dynamic":
            self._redrawn = splits.train

    @property
    def where(self) -> str:
        """The key that names the data, and its value."""
        path = getattr(self.config, "path", None)
        return f"data={self.config.name}" if path is None else f"data.path={path}"

    def renumber(self, known: Sequence[str], n_classes: int) -> bool:
        """Give each class the number of its name among ``known``, the ``n_classes`` classes of a model.

        ``known`` is empty for a checkpoint that is older than names in checkpoints. The classes are then numbered as
        when it was trained. Return whether a number changed.

        Raises UserError, with the names of both, if a class of the images is not among ``known``.
        """
        self.setup()
        what = self.where
        known = known or self._as_before(n_classes)
        if not self.class_names:
            raise UserError(f"{what}: its images have no classes; the checkpoint's are {listed(known)}")
        numbers = renumbering(self.class_names, known)
        if numbers is None:
            raise UserError(f"{what}: its classes are {listed(self.class_names)}; the checkpoint's are {listed(known)}")
        self.class_names = tuple(known)
        if (numbers == np.arange(len(numbers))).all():
            return False
        for part, images in self._splits.items():
            self._splits[part] = images.labelled(torch.from_numpy(numbers)[images.labels])
        if self._redrawn is not None:
            self._redrawn = Split(self._redrawn.images, numbers[self._redrawn.labels])
        return True

    def _as_before(self, n_classes: int) -> tuple[str, ...]:
        """The classes in the order that they had before checkpoints held names: folders were in that of text."""
        names = self.class_names
        if self.config.name == "images":
            names = tuple(sorted(names))
        if self.config.may_lack_classes and names == numbered(len(names)) and 0 < len(names) < n_classes:
            names = numbered(n_classes)
        if names and len(names) != n_classes:
            raise UserError(f"{self.where}: it has {len(names)} classes; the checkpoint's model has {n_classes}")
        return names

    def split(self, part: str) -> LevelImages:
        """The images and labels of "train", "val" or "test"."""
        self.setup()
        return self._splits[part]

    def files(self, part: str) -> list[str]:
        """The files of the images of a split, below ``data.path``; empty for data that are no folder of images."""
        return list(map(str, self._files.get(part, ())))[: len(self.split(part))]

    def keep(self, part: str, n: int) -> None:
        """Keep the first n images of a split alone. Raise UserError, which names the key n, if it has fewer."""
        images = self.split(part)
        if n > len(images):
            raise UserError(f"n={n}: the {part} split has {len(images)} images")
        self._splits[part] = images.first(n)

    def place(self) -> tuple[int, int, torch.device]:
        """Whose batches the loaders give: those of process 0 of 1, on the CPU."""
        return 0, 1, torch.device("cpu")

    def loader(self, part: str, *, shuffle: bool = False) -> DataLoader[TrainingBatch]:
        """Batches of a split, in its own order, or with ``shuffle`` in the order of (seed, epoch).

        Under dynamic binarisation, shuffled images are drawn anew, and have their chances: :data:`TrainingBatch`.
        """
        images = self.split(part)
        rank, world, device = self.place()
        seed = self.seed if shuffle else None
        redrawn = self._redrawn if shuffle else None
        if redrawn is not None or not has_room(device, images.images.nbytes):
            device = torch.device("cpu")
        indices = BatchIndices(
            len(images), self.config.batch_size, seed, rank, world, device, reshuffle=self._reshuffle
        )
        drawn: Dataset[TrainingBatch] = images.on(device)
        if redrawn is not None:
            drawn = RedrawnImages(redrawn, self.seed, indices, self._context_of)
        # A loader draws a number when iteration starts. With a generator of its own, torch's global one stays as it is.
        return DataLoader(drawn, sampler=indices, batch_size=None, generator=torch.Generator())
