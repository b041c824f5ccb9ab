"""CIFAR-10 (Krizhevsky, 2009), from the binary version or from torchvision's pickled batches."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn_lit.config import Cifar10Data
from pixelcnn_lit.data.classes import CIFAR10
from pixelcnn_lit.data.download import NotFoundError, downloading, keep, torchvision_datasets
from pixelcnn_lit.data.splits import Split, Splits, hold_out
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.files import write_whole

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # from the author's page
ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")
BINARY, PICKLED = "cifar-10-batches-bin", "cifar-10-batches-py"
TRAIN, TEST = [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]
N_CLASSES = 10
SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MAX_BYTES = 2**28  # a batch is 31 MB


def load(config: Cifar10Data) -> Splits:
    """Read the images and split them: 45,834/4,166/10,000.

    ``dir`` contains, or is, the folder cifar-10-batches-bin or torchvision's cifar-10-batches-py. If neither exists,
    the binary version is downloaded, or unpacked if its archive lies in ``dir``. Raises UserError if the download
    fails, or a file is damaged or missing.
    """
    folder = Path(config.dir)
    found = _found(folder)
    if found is None:
        try:
            _download(folder)
        except NotFoundError as error:
            raise UserError(f"{error}; say where its files are: data.dir=DIR") from error
        found = folder / BINARY
    whole, test = _joined(found, TRAIN), _joined(found, TEST)
    splits = hold_out(whole, test, config.split_seed, "files", N_CLASSES, f"data.dir={folder}")
    return replace(splits, class_names=CIFAR10)


def _found(folder: Path) -> Path | None:
    for candidate in (folder / BINARY, folder / PICKLED, folder):
        if any((candidate / f"{name}{suffix}").exists() for name in (*TRAIN, *TEST) for suffix in ("", ".bin")):
            return candidate
    return None


def _joined(folder: Path, names: list[str]) -> Split:
    batches = [_read_batch(folder, name) for name in names]
    images, labels = ([getattr(batch, what) for batch in batches] for what in ("images", "labels"))
    return Split(np.concatenate(images), np.concatenate(labels))


def _read_batch(folder: Path, name: str) -> Split:
    path = folder / f"{name}.bin"
    if not path.exists():
        path = folder / name
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: {path.stat().st_size} bytes; no batch of CIFAR-10 has more than {MAX_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    split = _binary(content, path) if path.suffix == ".bin" else _pickled(content, path)
    if len(split) and not 0 <= split.labels.min() <= split.labels.max() < N_CLASSES:
        raise UserError(f"{path}: damaged: labels {split.labels.min()} to {split.labels.max()}; they go from 0 to 9")
    return split


def _binary(content: bytes, path: Path) -> Split:
    if len(content) % (1 + PIXELS):
        raise UserError(f"{path}: damaged: {len(content)} bytes, no multiple of {1 + PIXELS}")
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + PIXELS)
    return Split(rows[:, 1:].reshape(-1, *SHAPE), rows[:, 0].astype(np.int64))


def _pickled(content: bytes, path: Path) -> Split:
    try:
        batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
        pixels = np.frombuffer(batch[b"data"].content, dtype=np.uint8)
        labels = np.array(batch[b"labels"], dtype=np.int64)
        images = pixels.reshape(len(labels), *SHAPE)
    except Exception as error:  # a damaged pickle can raise any exception
        raise UserError(f"{path}: damaged, or no batch of CIFAR-10") from error
    return Split(images, labels)


class _Array:
    """Replaces numpy's array and dtype when a batch is unpickled: keeps the bytes, allocates nothing else."""

    content = b""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.content = state[-1]


class _BatchUnpickler(pickle.Unpickler):
    """Reads a dictionary of lists and one array. Any other name in the pickle is refused, not imported."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype"):
            return _Array
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a batch of CIFAR-10")


def _download(folder: Path) -> None:
    """Unpack the archive that lies in ``folder``, or else fetch it. A batch appears there whole or not at all."""
    archive = folder / ARCHIVES[0]
    missing = f"data.dir={folder}: {BINARY}/{TEST[0]}.bin is not there and"
    if (folder / ARCHIVES[1]).exists():
        raise UserError(f"{missing} {ARCHIVES[1]} is packed; unpack it there: tar xzf {ARCHIVES[1]}")
    with downloading(folder, f"{missing} cifar10") as aside:
        if not archive.exists():
            archive = aside / archive.name
            torchvision_datasets("utils").download_url(URL, str(aside), archive.name, MD5)
        extract(archive, aside / BINARY)
        keep(aside / BINARY, folder / BINARY)


def extract(archive: Path, folder: Path) -> None:
    """Extract the six batches, and nothing else, from an archive. Raise UserError if it is damaged."""
    try:
        with tarfile.open(archive) as tar:
            for name in (*TRAIN, *TEST):
                member = tar.getmember(f"{BINARY}/{name}.bin")
                source = tar.extractfile(member)
                if source is None or member.size > MAX_BYTES:
                    raise UserError(f"{archive}: damaged: {member.name} is no batch of CIFAR-10")
                content = source.read()
                with write_whole(folder / f"{name}.bin") as file:
                    file.write(content)
    except (tarfile.TarError, KeyError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{archive}: damaged; remove it to fetch it again") from error
