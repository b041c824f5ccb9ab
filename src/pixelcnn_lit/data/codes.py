"""The codes of a trained autoencoder as a data set: computed once, and kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config.codes import CodesData, digest
from pixelcnn_lit.data.images import PARTS, ImageData, LevelImages
from pixelcnn_lit.data.splits import Split, Splits
from pixelcnn_lit.device import pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.progress import tracked
from pixelcnn_lit.storage.checkpoint import best_in, load_autoencoder
from pixelcnn_lit.storage.files import write_whole

BATCH = 256
"""How many images are encoded at once."""

Arrays = dict[str, NDArray[Any]]


def load(config: CodesData) -> Splits:
    """The codes of a level for the three splits of the images that the autoencoder was trained on.

    They are kept in a file under ``dir``, whose name is a digest of the checkpoint, for all levels at once.

    Raises UserError if ``ckpt`` is no autoencoder, its images cannot be read, or its codes are others than ``config``
    says.
    """
    path = best_in(config.ckpt)
    autoencoder, trained = load_autoencoder(path, "data.ckpt")
    names = autoencoder.names
    if config.level not in names:
        raise UserError(f"data.level={config.level}: {path} has {', '.join(names)}")
    if autoencoder.n_codes != config.levels:
        raise UserError(f"data.levels={config.levels}: {path} has {autoencoder.n_codes} codes")
    number = names.index(config.level)
    found = digest(path)
    if config.digest not in (None, found):
        raise UserError(f"data.digest={config.digest}: {path} has {found}: it is another autoencoder")
    cache = Path(config.dir) / f"codes-{found}.npz"
    arrays = kept(cache, names)
    if arrays is None:
        data = ImageData(trained.data, trained.seed)
        data.setup()
        arrays = encoded(autoencoder, data)
        with write_whole(cache) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    above = names[number - 1] if number else None
    train, val, test = (
        Split(
            arrays[f"{part}_{config.level}"],
            arrays[f"{part}_labels"],
            None if above is None else arrays[f"{part}_{above}"],
        )
        for part in PARTS
    )
    classes = tuple(str(name) for name in arrays["class_names"])
    return Splits(train, val, test, str(config.ckpt), len(classes), classes)


def kept(path: Path, names: Sequence[str]) -> Arrays | None:
    """The codes of the levels ``names`` in a file, or None if it is missing, damaged or another file."""
    wanted = {"class_names", *(f"{part}_{kind}" for part in PARTS for kind in (*names, "labels"))}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Arrays = dict(file)
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None
    return arrays if arrays.keys() == wanted else None


def encoded(autoencoder: Autoencoder, data: ImageData) -> Arrays:
    """The codes of all splits, such as ``train_top`` (N, 1, h, w) and ``train_labels`` (N,), and ``class_names``."""
    autoencoder.to(pick_device("auto"))
    arrays: Arrays = {"class_names": np.array(data.class_names, dtype=np.str_)}
    for part in PARTS:
        images = data.split(part)
        arrays[f"{part}_labels"] = images.labels.numpy()
        for name, codes in zip(autoencoder.names, _of_images(autoencoder, images, part), strict=True):
            arrays[f"{part}_{name}"] = codes.numpy()
    return arrays


def _of_images(autoencoder: Autoencoder, images: LevelImages, part: str) -> list[torch.Tensor]:
    with tracked(images.images.split(BATCH), f"codes of {part} images", len(images), size=len) as parts:
        batches = [autoencoder.encode(x.to(autoencoder.device)) for x in parts]
    return [torch.cat([codes.cpu() for codes in level]) for level in zip(*batches, strict=True)]
