"""Loads a data set by its name, and checks it against the config."""

from __future__ import annotations

import numpy as np

from pixelcnn_lit.config.data import DATA_SETS, DataConfig
from pixelcnn_lit.data.classes import listed
from pixelcnn_lit.data.quantise import quantise
from pixelcnn_lit.data.splits import Splits
from pixelcnn_lit.errors import UserError, blamed


def load(config: DataConfig) -> Splits:
    """Read a data set and split it; the same config gives the same splits.

    Raises UserError if the files are missing or damaged, or do not match ``image_shape`` and ``n_classes``.
    """
    with blamed(f"data={config.name}"):
        splits: Splits = DATA_SETS[config.name].load()(config)
    if not isinstance(splits, Splits):
        raise UserError(f"data={config.name}: its function gives {type(splits).__name__}, not Splits")
    refuse_others(config, splits)
    if not config.holds_levels:
        refuse_one_level(config, splits)
    return splits


def refuse_one_level(config: DataConfig, splits: Splits) -> None:
    """Raise UserError if the training images are black, as 0 and 1 are, or all their pixels become the same level."""
    images = splits.train.images
    low, high = int(images.min(initial=255)), int(images.max(initial=0))
    what, span = _name(config, splits), f"its intensities are from {low} to {high}"
    if len(images) and high <= 1:
        raise UserError(f"data={what}: {span}: black, where white is 255; multiply images of 0 and 1 by 255")
    one, other = quantise(np.array([low, high], dtype=np.uint8), config.levels)
    if len(images) and one == other and config.binarize is None:
        raise UserError(f"data.levels={config.levels}: {what}: {span}: a single level, from which nothing is learned")


def _name(config: DataConfig, splits: Splits) -> str:
    return config.name if splits.source in ("torchvision", "embedded") else splits.source


def refuse_others(config: DataConfig, splits: Splits) -> None:
    """Raise UserError if the images or classes of a data set do not match ``image_shape`` and ``n_classes``."""
    what = _name(config, splits)
    for part in (splits.train, splits.val, splits.test):
        kinds = (np.uint8, np.int16, np.int32) if config.holds_levels else (np.uint8,)
        if part.images.dtype not in kinds or part.images.ndim != 4:
            got = f"{part.images.dtype} of shape {part.images.shape}"
            raise UserError(f"data={what}: its images are {got}; they must be uint8 intensities (N, C, H, W)")
        labels = part.labels
        if len(part) and not 0 <= labels.min() <= labels.max() < max(1, splits.n_classes):
            allowed = f"from 0 to {splits.n_classes - 1}" if splits.n_classes else "0, where there are no classes"
            raise UserError(f"data={what}: its labels are {labels.min()} to {labels.max()}; they must be {allowed}")
    if len(splits.names) != splits.n_classes or len(set(splits.names)) != splits.n_classes:
        raise UserError(f"data={what}: {splits.n_classes} classes need as many names, not {listed(splits.names)}")
    found = splits.train.images.shape[1:]
    if found != config.image_shape:
        raise UserError(f"data.image_shape={list(config.image_shape)}: {what}: the images are {list(found)}")
    if config.n_classes and not splits.n_classes:
        raise UserError(f"data.n_classes={config.n_classes}: {what}: it has no labels; only 0 fits")
    may_lack_classes = config.may_lack_classes and splits.class_names is None
    if config.n_classes > splits.n_classes and not may_lack_classes:
        raise UserError(f"data.n_classes={config.n_classes}: {what}: it has {splits.n_classes} classes")
    if 0 < config.n_classes < splits.n_classes:
        last = splits.n_classes - 1
        raise UserError(
            f"data.n_classes={config.n_classes}: {what}: its labels go up to {last}, so that {last + 1} is the least"
        )
