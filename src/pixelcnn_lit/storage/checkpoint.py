"""Reads and writes checkpoints. Reading one runs no code of the file, and imports nothing that it names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pixelcnn_lit.config import TrainConfig, check, load_plugins
from pixelcnn_lit.config.changes import ORIGIN, changes
from pixelcnn_lit.config.migrate import FORMAT, migrated
from pixelcnn_lit.config.types import at_home
from pixelcnn_lit.data.classes import FIXED
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.storage.archive import DamagedError, is_whole, read_archive, read_safetensors, write_archive
from pixelcnn_lit.storage.files import copy_whole

KEY = "pixelcnn_lit"
PREFIX = "density."
SAFETENSORS = ".safetensors"
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


def header(config: TrainConfig, class_names: Sequence[str] = ()) -> dict[str, Any]:
    """What this package adds to a Lightning checkpoint: the number of the format, the config and the class names.

    All are plain values. A model without classes has no names.
    """
    # Without the plugins: reading a checkpoint must not import a module that the file names.
    kept = {"format": FORMAT, "config": config.model_dump(mode="json", exclude={"plugins"})}
    return kept | ({"class_names": list(class_names)} if class_names else {})


def class_names(path: str | Path) -> tuple[str, ...]:
    """The names of the classes of the model in a checkpoint. Raises UserError as :func:`read` does.

    Empty for a model without classes, and if the checkpoint is older than names in checkpoints and its data set is not
    one whose classes are always the same.
    """
    config, content = read(path)
    return _class_names(path, config, content)


def _class_names(path: str | Path, config: TrainConfig, content: Mapping[str, Any]) -> tuple[str, ...]:
    names, n_classes = content[KEY].get("class_names"), config.model.n_classes
    if n_classes is None:
        return ()
    if names is None:
        fixed = FIXED.get(config.data.name, ())
        return fixed if len(fixed) == n_classes else ()
    sound = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not sound or len(names) != n_classes or len(set(names)) != n_classes:
        raise UserError(f"ckpt={path}: damaged: {n_classes} classes, and not as many names: {names!r:.200}")
    return tuple(names)


def write(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, atomically and with a checksum. Before last.ckpt is replaced, a good one is copied.

    The copy is previous.ckpt. Raises UserError that names the file if it cannot be written; the old file then remains.
    """
    path = Path(path)
    if path.name == LAST and is_whole(path):
        copy_whole(path, path.with_name(PREVIOUS))
    write_archive(path, content)


def newest_good(folder: str | Path) -> Path | None:
    """The first undamaged file of last.ckpt, previous.ckpt and best.ckpt in a folder of checkpoints, or None.

    The log has one line per damaged file.
    """
    for name in (LAST, PREVIOUS, BEST):
        path = Path(folder) / name
        if not path.is_file():
            continue
        try:
            read(path)
        except UserError as error:
            logging.getLogger(__name__).warning("warning: %s; looking for an earlier one", error)
        else:
            return path
    return None


def read(path: str | Path, key: str = "ckpt") -> tuple[TrainConfig, dict[str, Any]]:
    """The checked config of a checkpoint, and its whole content on the CPU. Errors name it as ``key=path``.

    Raises UserError that names the file if it is missing or damaged, has a newer format or weights that are not finite,
    or is not a checkpoint of this package.
    """
    path = Path(at_home(str(path)))
    content, sound = _content(path, f"{key}={path}")
    own = content.get(KEY) if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(own, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{key}={path}: no checkpoint of pixelcnn-lit")
    number = _format(f"{key}={path}", own, sound)
    if not all(w.isfinite().all() for w in content["state_dict"].values() if isinstance(w, torch.Tensor)):
        raise UserError(f"{key}={path}: its weights are not all finite (NaN or infinity): the training went wrong")
    config = own.get("config")
    if not isinstance(config, Mapping):
        raise UserError(f"{key}={path}: damaged: it has no config")
    load_plugins()  # the plugins of installed packages
    return check(migrated({**config, "plugins": []}, number), TrainConfig, f"{key}={path}: "), content


def _content(path: Path, where: str) -> tuple[Any, bool]:
    """The content of a file, in the form of a Lightning checkpoint, and whether it has a checksum."""
    # os.path, unlike pathlib, returns False for names that no file can have.
    if os.path.isdir(path):  # noqa: PTH112
        raise UserError(f"{where}: a folder; name a file, such as {path / 'checkpoints' / BEST}")
    if not os.path.isfile(path):  # noqa: PTH113
        raise UserError(f"{where}: no such file")
    try:
        if path.suffix != SAFETENSORS:
            return read_archive(path)
        weights, own = read_safetensors(path)
        return {"state_dict": {PREFIX + name: weight for name, weight in weights.items()}, KEY: own}, True
    except DamagedError as error:
        raise UserError(f"{where}: damaged, or no checkpoint ({' '.join(str(error).split())[:200]})") from error


def _format(where: str, own: Mapping[str, Any], sound: bool) -> int:
    """The number of a checkpoint's format. Raise UserError if this version cannot read it."""
    number = own.get("format")
    if not isinstance(number, int) or number < 1:
        raise UserError(f"{where}: damaged: its format is {number!r}")
    if number > FORMAT:
        raise UserError(
            f"{where}: format {number}, of a newer pixelcnn-lit than this one, which reads formats 1 to {FORMAT}"
        )
    if number > 1 and not sound:
        raise UserError(f"{where}: damaged: its checksum is missing")
    return number


def load_with_config(path: str | Path, key: str = "ckpt") -> tuple[Density, TrainConfig]:
    """A trained density in evaluation mode, and the config of its run.

    Raises UserError as :func:`read` does, and if the weights do not match the config.
    """
    config, content = read(path, key)
    with torch.device("meta"):
        expected = build_density(config).state_dict()
    weights = {
        name.removeprefix(PREFIX): weight
        for name, weight in content["state_dict"].items()
        if isinstance(name, str) and name.startswith(PREFIX)
    }
    # Checked before memory is allocated: the config may describe a larger network than the file contains.
    if weights.keys() != expected.keys() or not all(_fits(weights[name], expected[name]) for name in expected):
        raise UserError(f"{key}={path}: its weights do not fit its own config")
    density = build_density(config)
    density.load_state_dict(weights)
    density.class_names = _class_names(path, config, content)
    return density.eval(), config


def _fits(weight: Any, expected: torch.Tensor) -> bool:
    return isinstance(weight, torch.Tensor) and weight.is_floating_point() and weight.shape == expected.shape


def load(path: str | Path) -> Density:
    """A trained density, on the CPU and in evaluation mode, from a file that ``train`` or ``export`` wrote.

    Raises UserError that names the file if it is missing, damaged, or not a checkpoint of this package.
    """
    return load_with_config(path)[0]


STATE = {"loops": dict, "callbacks": dict, "optimizer_states": list, "lr_schedulers": list}
"""The entries of a checkpoint that Lightning needs to resume training."""


def _is_progress(loops: Any) -> bool:
    return all(map(_is_progress, loops.values())) if isinstance(loops, dict) else isinstance(loops, int)


MUST_AGREE = (
    *("model", "likelihood", "context", "data", "optimizer", "seed"),
    *("callbacks.ema", "trainer.accumulate_grad_batches"),
)
"""Sections and keys that a run must have as the checkpoint from which it resumes: its state depends on them."""


def resumable(path: str | Path, config: TrainConfig) -> tuple[Path, TrainConfig]:
    """The checkpoint from which a run of ``config`` can resume, and the config with which it was trained.

    The checkpoint is ``path``, or an earlier one for a damaged last.ckpt. Raises UserError if there is none, or if it
    lacks the training state or was trained with another config.
    """
    path = Path(path)
    try:
        theirs, content = read(path)
    except UserError:
        earlier = newest_good(path.parent) if path.name == LAST and path.is_file() else None
        if earlier is None:
            raise
        path = earlier
        theirs, content = read(path)
    missing = [key for key, kind in STATE.items() if not isinstance(content.get(key), kind) or not content[key]]
    if missing:
        raise UserError(f"ckpt={path}: holds no state of a training to resume (no {', '.join(missing)})")
    if not _is_progress(content["loops"]):
        raise UserError(f"ckpt={path}: damaged: its loops hold other things than numbers")
    for key, (before, now) in changes(theirs, config, ORIGIN).items():
        if _is_in(key, MUST_AGREE):
            raise UserError(
                f"{key}={now}: ckpt={path} was trained with {before}; resume with the same, or begin a new run: "
                f"weights={path}"
            )
    return path, theirs


def weights_for(config: TrainConfig) -> dict[str, torch.Tensor]:
    """The weights of the checkpoint ``config.weights``, for a new run of ``config`` that begins with them.

    Data, optimiser and length may differ. Raises UserError that names the key if the network, the likelihood, the
    levels or the channels do, or if the checkpoint cannot be read.
    """
    assert config.weights is not None
    density, theirs = load_with_config(config.weights, key="weights")
    same = ("model", "likelihood", "context", "data.levels")
    for key, (before, now) in changes(theirs, config, ORIGIN).items():
        if _is_in(key, same):
            raise UserError(f"{key}={now}: weights={config.weights} was trained with {before}; only the same fits")
    channels, ours = theirs.data.image_shape[0], config.data.image_shape[0]
    if channels != ours:
        raise UserError(f"data.image_shape: {ours} channels; weights={config.weights} was trained with {channels}")
    return density.state_dict()


def _is_in(key: str, parts: Sequence[str]) -> bool:
    """Whether a dotted key is one of ``parts``, or in a section that is."""
    return any(key == part or key.startswith(f"{part}.") for part in parts)
