"""A data set from a folder of PNG and JPEG files. They are decoded once, into a cache file."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from pixelcnn_lit.config import ImagesData
from pixelcnn_lit.data.classes import listed, ordered
from pixelcnn_lit.data.splits import MAX_BYTES, Split, Splits, hold_out, in_three
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.progress import tracked
from pixelcnn_lit.storage.files import write_whole

SUFFIXES = (".png", ".jpg", ".jpeg")
MODES = {1: "L", 3: "RGB"}
CACHE_FORMAT = 3  # raise this number when the decoding changes, so that old cache files are not used


@dataclass(frozen=True)
class Entry:
    """An image file: its split, or "" without split folders, and its class, or None outside the class folders."""

    path: Path
    part: str
    label: str | None


def load(config: ImagesData) -> Splits:
    """Read the images under ``path``: every .png, .jpg and .jpeg file whose name does not begin with a dot.

    Splits: the subfolders train, test and optionally val. Without val, a twelfth of train is held out for validation.
    Images beside train and test are refused: nobody knows of which part they are. Without these two, a tenth of all
    images is for test and a tenth for validation.

    Classes: if every image is in a further subfolder, these are the classes, numbered in the order of their names, in
    which numbers count as numbers: 2 comes before 10.

    Each image is rotated as its EXIF tag says, cropped to its central square, and resized (Lanczos) to ``size`` x
    ``size``; transparent pixels become white. The decoded images are cached in a file under ``dir``, which is used as
    long as the files do not change.

    Raises UserError that names the folder or the broken file.
    """
    root = Path(config.path)
    where = f"data.path={root}"
    entries = find(root)
    size = len(entries) * config.channels * config.size**2
    if not entries:
        raise UserError(f"{where}: no {', '.join(SUFFIXES)} file in it")
    if size > MAX_BYTES:
        raise UserError(f"{where}: {len(entries)} images would need {size} bytes; at most {MAX_BYTES} are held")
    names = ordered({entry.label or "" for entry in entries})
    names = () if any(entry.label is None for entry in entries) else names
    labels = np.array([names.index(entry.label or "") if names else 0 for entry in entries], dtype=np.int64)
    files = np.array([str(entry.path.relative_to(root)) for entry in entries])
    whole = Split(_cached(config, root, entries), labels, files=files)
    splits = _in_parts(whole, np.array([entry.part for entry in entries]), config, len(names))
    return replace(splits, class_names=names)


def _in_parts(whole: Split, parts: NDArray[Any], config: ImagesData, n_classes: int) -> Splits:
    root, where = config.path, f"data.path={config.path}"
    split = {part: whole[np.flatnonzero(parts == part)] for part in ("train", "val", "test")}
    if (parts == "").all():
        return in_three(whole, config.split_seed, str(root), n_classes, where)
    if not len(split["val"]):
        return hold_out(split["train"], split["test"], config.split_seed, str(root), n_classes, where)
    if not len(split["train"]) or not len(split["test"]):
        raise UserError(f"{where}: {len(split['train'])} training and {len(split['test'])} test images")
    return Splits(split["train"], split["val"], split["test"], str(root), n_classes)


def find(root: Path) -> list[Entry]:
    """The image files under a folder, in the order of their names.

    Raises UserError if the folder does not exist, has a subfolder train but no test, or other images beside both.
    """
    if not root.is_dir():
        raise UserError(f"data.path={root}: no such folder")
    files = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        files += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
    paths = [path.relative_to(root) for path in files if path.suffix.lower() in SUFFIXES]
    in_parts = _has_parts(root, paths)
    entries = []
    for path in paths:
        inner = path.parts[1:] if in_parts else path.parts
        part = path.parts[0] if in_parts else ""
        entries.append(Entry(root / path, part, inner[0] if len(inner) > 1 else None))
    return entries


def _has_parts(root: Path, paths: Sequence[Path]) -> bool:
    """Whether these images, by their paths below ``root``, lie in a folder for each part."""
    folders = {path.parts[0] for path in paths if len(path.parts) > 1}
    others = sorted({path.parts[0] for path in paths} - (folders & {"train", "val", "test"}))
    if folders >= {"train", "test"} and others:
        told = f"has {listed(others)} beside train and test, where only the folder val may have images"
        raise UserError(f"data.path={root}: {told}; move the others away, or let their names begin with a dot")
    if "train" in folders and not others and "test" not in folders:
        raise UserError(f"data.path={root}: has train but no test beside it")
    return "train" in folders and not others


def _cached(config: ImagesData, root: Path, entries: Sequence[Entry]) -> NDArray[np.uint8]:
    """The images (N, C, size, size), from the cache file if these files are in it, else decoded and then cached."""
    shape = (len(entries), config.channels, config.size, config.size)
    digest = hashlib.sha256(json.dumps([CACHE_FORMAT, shape]).encode())
    for entry in entries:
        stat = entry.path.stat()
        digest.update(json.dumps([str(entry.path.relative_to(root)), stat.st_mtime_ns, stat.st_size]).encode())
    cache = Path(config.dir) / f"images-{digest.hexdigest()[:32]}.npy"
    try:
        images = np.load(cache, allow_pickle=False)
        if images.shape == shape and images.dtype == np.uint8:
            return images
    except (OSError, ValueError, EOFError):
        pass  # missing or damaged: decode again
    images = np.empty(shape, dtype=np.uint8)
    _decode_all(images, entries)
    with write_whole(cache) as file:
        np.save(file, images)
    return images


def _decode_all(images: NDArray[np.uint8], entries: Sequence[Entry]) -> None:

    def decode_into(number: int) -> bool:
        decoded = decode(entries[number].path, images.shape[1:])
        images[number] = decoded.pixels
        return decoded.transparent

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow warns about oddities in files that it can read
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        done = pool.map(decode_into, range(len(entries)))
        try:
            with tracked(done, "decoding images", len(entries)) as each:
                count = sum(each)
            if count:
                say(f"note: {count} of {len(entries)} images have transparent pixels, which become white")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class Decoded(NamedTuple):
    """An image file: its intensities (C, H, W), whether it has transparent pixels, and its own (height, width)."""

    pixels: NDArray[np.uint8]
    transparent: bool
    size: tuple[int, int]


def decode(path: Path, shape: tuple[int, ...]) -> Decoded:
    """Decode an image file to ``shape`` (C, H, W): its middle part of that form, resized.

    Transparent pixels become white: an editor may have left anything under them. Raises UserError that names a broken
    file.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if is_deep(image):
                raise UserError(f"{path}: has more than 8 bits a channel, which are not read; make them 8")
            upright, transparent = _on_white(ImageOps.exif_transpose(image))
            pixels = fitted(upright, shape)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: has more than {Image.MAX_IMAGE_PIXELS} pixels, which is not read") from error
    except UserError:
        raise
    except Exception as error:  # Pillow raises a different kind for each way that a file is broken
        raise UserError(f"{path}: cannot be read as a PNG or JPEG image") from error
    return Decoded(pixels, transparent, upright.size[::-1])


def fitted(image: Image.Image, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Intensities of ``shape`` (C, H, W), C of 1 or 3: the middle part of that form of a picture, resized (Lanczos)."""
    channels, height, width = shape
    pixels = np.asarray(ImageOps.fit(image.convert(MODES[channels]), (width, height), Image.Resampling.LANCZOS))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an opened file, of which no pixel is read yet, has more than 8 bits a channel.

    Of a PNG of 16 bits in colour, Pillow gives the upper 8 and says nothing: what is below 256 would be black.
    """
    return image.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in image.tile)


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    if not image.has_transparency_data:
        return image, False
    colours = image.convert("RGBA")
    if np.asarray(colours)[..., 3].min() == 255:
        return image, False
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours), True
