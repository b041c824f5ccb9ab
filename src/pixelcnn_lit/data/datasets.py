"""The data sets by name."""

from __future__ import annotations

from pixelcnn_lit.config import Cifar10Data, DataConfig, ImagesData, MnistData, NpzData
from pixelcnn_lit.data import cifar10, folder, mnist, npz
from pixelcnn_lit.data.splits import Splits
from pixelcnn_lit.errors import UserError


def load(config: DataConfig) -> Splits:
    """Read a data set and split it, the same way for the same config.

    Raises UserError where the files can't be had, are damaged, or are other than ``image_shape`` and ``n_classes`` say.
    """
    match config:
        case MnistData():
            splits = mnist.load(config)
        case Cifar10Data():
            splits = cifar10.load(config)
        case NpzData():
            splits = npz.load(config)
        case ImagesData():
            splits = folder.load(config)
        case _:
            raise TypeError(f"no data set of {type(config).__name__}")
    what = config.name if splits.source in ("torchvision", "embedded") else splits.source
    found = splits.train.images.shape[1:]
    if found != config.image_shape:
        raise UserError(f"data.image_shape={list(config.image_shape)}: {what}: the images are {list(found)}")
    if config.n_classes and not splits.n_classes:
        raise UserError(f"data.n_classes={config.n_classes}: {what}: it has no labels; only 0 fits")
    if config.n_classes > splits.n_classes and not isinstance(config, NpzData):  # a file may have a part of the classes
        raise UserError(f"data.n_classes={config.n_classes}: {what}: it has {splits.n_classes} classes")
    if 0 < config.n_classes < splits.n_classes:
        last = splits.n_classes - 1
        raise UserError(
            f"data.n_classes={config.n_classes}: {what}: its labels go up to {last}, so that {last + 1} is the least"
        )
    return splits
