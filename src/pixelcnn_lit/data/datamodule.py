"""The LightningDataModule: whole splits as tensors, in the memory of the device that trains, batches as slices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pixelcnn_lit.config import DataConfig
from pixelcnn_lit.data.binarise import binarise
from pixelcnn_lit.data.datasets import load
from pixelcnn_lit.data.quantise import quantise
from pixelcnn_lit.data.splits import Split
from pixelcnn_lit.device import has_room

Batch = tuple[Tensor, Tensor]
"""Levels (N, C, H, W) uint8 and labels (N,) int64, below data.n_classes."""


class LevelImages(Dataset[Batch]):
    """A split as one tensor of levels. Indexed by a tensor of indices: a batch at once, no Python per image."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def on(self, device: torch.device) -> LevelImages:
        """The split in the memory of a device: a batch is then taken there, and nothing is copied at a step."""
        return LevelImages(self.images.to(device), self.labels.to(device))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor) -> Batch:
        return self.images[indices], self.labels[indices]


class BatchIndices(Sampler[Tensor]):
    """The indices of each batch of an epoch, for one of ``world`` processes.

    With a seed the order of epoch e is a function of (seed, e) alone, or without ``reshuffle`` that of epoch 0 in all;
    without a seed, it is the order of the images. The processes share each global batch of world x batch_size images,
    all of them take every step, and every image is taken once: of the last batch, a process may get no image at all.
    An epoch's indices are put on ``device`` at once.
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
        """Leave out the first ``batch`` batches of an epoch: a run that goes on has done them."""
        self._start = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def order(self) -> Tensor:
        """The order of all images in this epoch."""
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


class RedrawnImages(Dataset[Batch]):
    """The training images under dynamic binarisation: those of an epoch are a function of (seed, epoch) alone."""

    def __init__(self, split: Split, seed: int, order: BatchIndices) -> None:
        self._split, self._seed, self._order = split, seed, order

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, indices: Tensor) -> Batch:
        numbers = indices.numpy()
        drawn = self._split[numbers]
        images = binarise(drawn.images, numbers, ANEW, self._seed, self._order.epoch)
        return torch.from_numpy(images), torch.from_numpy(drawn.labels)


PARTS = ("train", "val", "test")
ANEW, ONCE = 1, 2  # the first number of a key of binarise


class ImageDataModule(pl.LightningDataModule):
    """The three splits of a data set, quantised to ``config.levels`` or binarised.

    Under dynamic binarisation :meth:`split` gives images that were drawn once, a function of ``config.split_seed``
    alone: what is evaluated is the same in every epoch and every run. Only the training loader draws anew.
    """

    def __init__(self, config: DataConfig, seed: int, *, reshuffle: bool = True) -> None:
        """``seed`` orders and redraws the training images; reading them is left to :meth:`setup`.

        Without ``reshuffle`` they come in the same order in each epoch.
        """
        super().__init__()
        self._reshuffle = reshuffle
        self.config, self.seed = config, seed
        self.source = ""
        self._splits: dict[str, LevelImages] = {}
        self._redrawn: Split | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read the images and make levels of them, once. Raise UserError where they cannot be had."""
        if self._splits:
            return
        config = self.config
        splits = load(config)
        self.source = splits.source
        for number, part in enumerate(PARTS):
            split: Split = getattr(splits, part)
            if config.binarize == "dynamic":
                images = binarise(split.images, np.arange(len(split)), ONCE, config.split_seed, number)
            else:
                images = quantise(split.images, config.levels)
            self._splits[part] = LevelImages(torch.from_numpy(images), torch.from_numpy(split.labels))
        if config.binarize == "dynamic":
            self._redrawn = splits.train

    def split(self, part: str) -> LevelImages:
        """The images of "train", "val" or "test"."""
        self.setup()
        return self._splits[part]

    def loader(self, part: str, *, shuffle: bool = False) -> DataLoader[Batch]:
        """Batches of a split, in its own order or in that of (seed, epoch)."""
        images = self.split(part)
        rank = self.trainer.global_rank if self.trainer else 0
        world = self.trainer.world_size if self.trainer else 1
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        seed = self.seed if shuffle else None
        redrawn = self._redrawn if shuffle else None
        if redrawn is not None or not has_room(device, images.images.nbytes):
            device = torch.device("cpu")
        indices = BatchIndices(
            len(images), self.config.batch_size, seed, rank, world, device, reshuffle=self._reshuffle
        )
        drawn: Dataset[Batch] = images.on(device) if redrawn is None else RedrawnImages(redrawn, self.seed, indices)
        # Its own generator: iterating over a loader draws a number that nobody needs, else from torch's global one.
        return DataLoader(drawn, sampler=indices, batch_size=None, generator=torch.Generator())

    def train_dataloader(self) -> DataLoader[Batch]:
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.loader("test")
