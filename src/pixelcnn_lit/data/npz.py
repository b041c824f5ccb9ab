"""A data set from a .npz file with the arrays x_train, y_train, x_test and y_test, and class_names on request."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pixelcnn_lit.config import NpzData
from pixelcnn_lit.data.classes import listed
from pixelcnn_lit.data.splits import MAX_BYTES, Split, Splits, hold_out
from pixelcnn_lit.errors import UserError

MAX_CLASSES = 65536


def load(config: NpzData) -> Splits:
    """Read a .npz file and hold out a twelfth of its training images for validation.

    ``x_train`` and ``x_test`` are uint8 intensities, (N, H, W) or (N, H, W, C) with at most 4 channels. ``y_train`` and
    ``y_test`` are integer labels (N,) from 0; both may be missing. ``class_names`` are the names of the classes, text
    of shape (n_classes,); it may be missing too, and the classes are then called by their numbers. The headers of the
    arrays are checked before memory is allocated. Arrays of Python objects are refused, because numpy would unpickle
    them.

    Raises UserError that names the file and the array.
    """
    path = Path(config.path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
            for name in ("x_train", "x_test"):
                if name not in names:
                    held = ", ".join(sorted(names)[:8]) or "nothing"
                    raise UserError(f"{path}: has no array {name}; it holds {held}")
            if ("y_train" in names) != ("y_test" in names):
                raise UserError(f"{path}: has labels for one split only; y_train and y_test, or neither")
            labelled = "y_train" in names
            whole, test = (_read_split(archive, part, path, labelled) for part in ("train", "test"))
            class_names = _read_names(archive, path) if labelled and "class_names" in names else None
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"data.path={path}: cannot be read ({reason})") from error
    if whole.images.shape[1:] != test.images.shape[1:]:
        shapes = " and ".join(str(list(split.images.shape[1:])) for split in (whole, test))
        raise UserError(f"{path}: its training and test images are of different shapes, {shapes}")
    n_classes = 1 + max(int(split.labels.max(initial=-1)) for split in (whole, test)) if labelled else 0
    if class_names is not None:
        if n_classes > len(class_names):
            raise UserError(f"{path}: class_names has {len(class_names)} names; its labels go up to {n_classes - 1}")
        n_classes = len(class_names)
    splits = hold_out(whole, test, config.split_seed, str(path), n_classes, f"data.path={path}")
    return replace(splits, class_names=class_names)


def _read_names(archive: zipfile.ZipFile, path: Path) -> tuple[str, ...]:
    names = _read_array(archive, "class_names", path)
    if names.dtype.kind != "U" or names.ndim != 1 or len(names) > MAX_CLASSES:
        raise UserError(
            f"{path}: class_names is {names.dtype} of shape {names.shape}; expected text, a name for each class"
        )
    if len(set(names)) < len(names) or not all(names):
        raise UserError(f"{path}: class_names has a name twice, or an empty one: {listed([str(n) for n in names])}")
    return tuple(str(name) for name in names)


def _read_split(archive: zipfile.ZipFile, part: str, path: Path, labelled: bool) -> Split:
    pixels = _read_array(archive, f"x_{part}", path)
    has_shape = pixels.ndim == 3 or (pixels.ndim == 4 and 1 <= pixels.shape[3] <= 4)
    if pixels.dtype != np.uint8 or not has_shape:
        raise UserError(
            f"{path}: x_{part} is {pixels.dtype} of shape {pixels.shape}; "
            "expected uint8 of shape (N, H, W) or (N, H, W, C) with 1 to 4 channels"
        )
    images = pixels[:, None] if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    if not labelled:
        return Split(images, np.zeros(len(images), dtype=np.int64))
    labels = _read_array(archive, f"y_{part}", path)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise UserError(
            f"{path}: y_{part} is {labels.dtype} of shape {labels.shape}; expected integers of shape ({len(images)},)"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < MAX_CLASSES:
        raise UserError(
            f"{path}: y_{part} goes from {labels.min()} to {labels.max()}; labels go from 0 up to {MAX_CLASSES - 1}"
        )
    return Split(images, labels.astype(np.int64))


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        shape, _, dtype = _read_header(file)
        if dtype.hasobject:
            raise UserError(f"{path}: {name} holds Python objects, which are not read")
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_BYTES:
            raise UserError(f"{path}: {name} would need {size} bytes; at most {MAX_BYTES} are read")
        if not size <= info.file_size <= size + 2**16:
            raise UserError(f"{path}: {name} is damaged: {info.file_size} bytes for {size} bytes of data")
    with archive.open(info) as file:
        return npy.read_array(file, allow_pickle=False)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise ValueError(f"npy format {version[0]}.{version[1]} is not read")
