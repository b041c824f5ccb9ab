"""The LightningDataModule of images: batches of each process on its own device.

Apart from :mod:`pixelcnn_lit.data.images`, since Lightning takes seconds to import, and only a training needs it.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from pixelcnn_lit.config import DataConfig
from pixelcnn_lit.config.context import ContextConfig
from pixelcnn_lit.data.images import ImageData, TrainingBatch


class ImageDataModule(ImageData, pl.LightningDataModule):
    """The images of a data set for Lightning's Trainer: the loaders are those of its processes and their devices.

    >>> from pixelcnn_lit import compose
    >>> from pixelcnn_lit.data.datamodule import ImageDataModule
    >>> data = ImageDataModule(compose(["data=digits", "data.levels=4"]).data, seed=0)
    >>> len(data.train_dataloader()), len(data.test_dataloader())
    (32, 4)
    """

    def __init__(
        self, config: DataConfig, seed: int, *, context: ContextConfig | None = None, reshuffle: bool = True
    ) -> None:
        """The arguments are those of :class:`~pixelcnn_lit.data.images.ImageData`."""
        pl.LightningDataModule.__init__(self)
        ImageData.__init__(self, config, seed, context=context, reshuffle=reshuffle)

    def place(self) -> tuple[int, int, torch.device]:
        """The number of this process, how many there are, and its device; without a Trainer, the only one's CPU."""
        if not self.trainer:
            return super().place()
        return self.trainer.global_rank, self.trainer.world_size, self.trainer.strategy.root_device

    def train_dataloader(self) -> DataLoader[TrainingBatch]:
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[TrainingBatch]:
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[TrainingBatch]:
        return self.loader("test")
