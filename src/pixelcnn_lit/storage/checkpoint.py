"""Reads and writes checkpoints. Reading one runs no code of the file, and imports nothing that it names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config import AutoencoderRunConfig, RunConfig, TrainConfig, check, load_plugins
from pixelcnn_lit.config.changes import ORIGIN, changes
from pixelcnn_lit.config.codes import STAGE
from pixelcnn_lit.config.kinds import run_section
from pixelcnn_lit.config.migrate import FORMAT, migrated
from pixelcnn_lit.config.places import BEST, LAST, best_of
from pixelcnn_lit.config.types import at_home, named
from pixelcnn_lit.data.classes import FIXED
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.factory import build_autoencoder, build_density
from pixelcnn_lit.storage.archive import DamagedError, is_whole, read_archive, read_safetensors, write_archive
from pixelcnn_lit.storage.files import copy_whole

KEY = "pixelcnn_lit"
PREFIXES: Mapping[type[RunConfig], str] = {TrainConfig: "density.", AutoencoderRunConfig: "autoencoder."}
"""What the names of a model's weights begin with in a checkpoint, by the kind of run."""
PREFIX = PREFIXES[TrainConfig]
SAFETENSORS = ".safetensors"
PREVIOUS = "previous.ckpt"


def header(config: RunConfig, class_names: Sequence[str] = ()) -> dict[str, Any]:
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


def _class_names(path: str | Path, config: RunConfig, content: Mapping[str, Any]) -> tuple[str, ...]:
    names = content[KEY].get("class_names")
    n_classes = config.model.n_classes if isinstance(config, TrainConfig) else None
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


def read(path: str | Path, key: str = "ckpt") -> tuple[RunConfig, dict[str, Any]]:
    """The checked config of a checkpoint, and its whole content on the CPU. Errors name it as ``key=path``.

    Raises UserError that names the file if it is missing or damaged, has a newer format or weights that are not finite,
    or is not a checkpoint of this package.
    """
    path = Path(at_home(str(path)))
    where = f"{key}={named(path)}"
    content, sound = _content(path, where)
    own = content.get(KEY) if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(own, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{where}: no checkpoint of pixelcnn-lit")
    number = _format(where, own, sound)
    if not all(w.isfinite().all() for w in content["state_dict"].values() if isinstance(w, torch.Tensor)):
        raise UserError(f"{where}: its weights are not all finite (NaN or infinity): the training went wrong")
    config = own.get("config")
    if not isinstance(config, Mapping):
        raise UserError(f"{where}: damaged: it has no config")
    load_plugins()  # the plugins of installed packages
    kept = migrated({**config, "plugins": []}, number)
    return check(kept, run_section(kept), f"{where}: "), content


def _content(path: Path, where: str) -> tuple[Any, bool]:
    """The content of a file, in the form of a Lightning checkpoint, and whether it has a checksum."""
    # os.path, unlike pathlib, returns False for names that no file can have.
    if os.path.isdir(path):  # noqa: PTH112
        best = best_of(path)
        advice = f"name a file, such as {best}" if best.is_file() else f"no run's, which has the file {best_of(Path())}"
        raise UserError(f"{where}: a folder; {advice}")
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


def load_model(path: str | Path, key: str = "ckpt") -> tuple[Density | Autoencoder, RunConfig]:
    """A trained model in evaluation mode, a density or an autoencoder, and the config of its run.

    ``path`` may be the folder of a run: its best checkpoint is read. Raises UserError as :func:`read` does, and if the
    weights do not match the config.
    """
    path = best_in(path)
    config, content = read(path, key)
    prefix = next(prefix for kind, prefix in PREFIXES.items() if isinstance(config, kind))
    with torch.device("meta"):
        expected = _build(config).state_dict()
    weights = {
        name.removeprefix(prefix): weight
        for name, weight in content["state_dict"].items()
        if isinstance(name, str) and name.startswith(prefix)
    }
    # Checked before memory is allocated: the config may describe a larger network than the file contains.
    if weights.keys() != expected.keys() or not all(_fits(weights[name], expected[name]) for name in expected):
        raise UserError(f"{key}={path}: its weights do not fit its own config")
    model = _build(config)
    model.load_state_dict(weights)
    if isinstance(model, Density):
        model.class_names = _class_names(path, config, content)
    return model.eval(), config


def _build(config: RunConfig) -> Density | Autoencoder:
    if isinstance(config, TrainConfig):
        return build_density(config)
    assert isinstance(config, AutoencoderRunConfig)
    return build_autoencoder(config)


def best_in(path: str | Path) -> Path:
    """The best checkpoint of a run's folder, or of its stage ``autoencoder``; ``path`` itself if that is neither."""
    path = Path(at_home(str(path)))
    for stage in ("", STAGE):
        best = best_of(path / stage)
        if os.path.isfile(best):  # noqa: PTH113
            return best
    return path


def load_with_config(path: str | Path, key: str = "ckpt") -> tuple[Density, TrainConfig]:
    """A trained density in evaluation mode, and the config of its run.

    Raises UserError as :func:`load_model` does, and for the checkpoint of an autoencoder.
    """
    model, config = load_model(path, key)
    if not isinstance(model, Density):
        raise UserError(f"{key}={path}: an autoencoder, which has no likelihood; a density is needed")
    assert isinstance(config, TrainConfig)
    return model, config


def load_autoencoder(path: str | Path, key: str = "ckpt") -> tuple[Autoencoder, AutoencoderRunConfig]:
    """A trained autoencoder in evaluation mode, and the config of its run.

    Raises UserError as :func:`load_model` does, and for the checkpoint of a density.
    """
    model, config = load_model(path, key)
    if not isinstance(model, Autoencoder):
        raise UserError(f"{key}={path}: a density, which has no codes; an autoencoder is needed")
    assert isinstance(config, AutoencoderRunConfig)
    return model, config


def _fits(weight: Any, expected: torch.Tensor) -> bool:
    if not isinstance(weight, torch.Tensor) or weight.shape != expected.shape:
        return False
    return weight.is_floating_point() if expected.is_floating_point() else weight.dtype == expected.dtype


def load(path: str | Path) -> Density | Autoencoder:
    """A trained model, on the CPU and in evaluation mode, from a file that ``train``, ``vqvae`` or ``export`` wrote.

    Raises UserError that names the file if it is missing, damaged, or not a checkpoint of this package.
    """
    return load_model(path)[0]


STATE = {"loops": dict, "callbacks": dict, "optimizer_states": list, "lr_schedulers": list}
"""The entries of a checkpoint that Lightning needs to resume training."""


def _is_progress(loops: Any) -> bool:
    return all(map(_is_progress, loops.values())) if isinstance(loops, dict) else isinstance(loops, int)


MUST_AGREE = (
    *("model", "likelihood", "context", "autoencoder", "data", "optimizer", "seed"),
    *("callbacks.ema", "trainer.accumulate_grad_batches"),
)
"""Sections and keys that a run must have as the checkpoint from which it resumes: its state depends on them."""

OF_WEIGHTS = ("model", "likelihood", "context", "autoencoder", "data.levels")
"""Those that a run must have even if it only begins with the weights of a checkpoint."""


def resumable(path: str | Path, config: RunConfig) -> tuple[Path, RunConfig]:
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
    where = f"ckpt={named(path)}"
    missing = [key for key, kind in STATE.items() if not isinstance(content.get(key), kind) or not content[key]]
    if missing:
        raise UserError(f"{where}: holds no state of a training to resume (no {', '.join(missing)})")
    if not _is_progress(content["loops"]):
        raise UserError(f"{where}: damaged: its loops hold other things than numbers")
    _same_kind(theirs, config, where)
    for key, (before, now) in changes(theirs, config, ORIGIN).items():
        if _is_in(key, MUST_AGREE):
            new = "" if _is_in(key, OF_WEIGHTS) else f", or begin a new run: weights={named(path)}"
            raise UserError(f"{key}={now}: {where} was trained with {before}; resume with the same{new}")
    return path, theirs


def weights_for(config: RunConfig) -> dict[str, torch.Tensor]:
    """The weights of the checkpoint ``config.weights``, for a new run of ``config`` that begins with them.

    Data, optimiser and length may differ. Raises UserError that names the key if the network, the likelihood, the
    levels or the channels do, or if the checkpoint cannot be read.
    """
    assert config.weights is not None
    model, theirs = load_model(config.weights, key="weights")
    where = f"weights={named(config.weights)}"
    _same_kind(theirs, config, where)
    for key, (before, now) in changes(theirs, config, ORIGIN).items():
        if _is_in(key, OF_WEIGHTS):
            raise UserError(f"{key}={now}: {where} was trained with {before}; only the same fits")
    channels, ours = theirs.data.image_shape[0], config.data.image_shape[0]
    if channels != ours:
        raise UserError(f"data.image_shape: {ours} channels; {where} was trained with {channels}")
    return model.state_dict()


def _same_kind(theirs: RunConfig, ours: RunConfig, where: str) -> None:
    if isinstance(theirs, TrainConfig) != isinstance(ours, TrainConfig):
        found, wanted = (
            "a density" if isinstance(config, TrainConfig) else "an autoencoder" for config in (theirs, ours)
        )
        raise UserError(f"{where}: holds {found}; this run trains {wanted}")


def _is_in(key: str, parts: Sequence[str]) -> bool:
    """Whether a dotted key is one of ``parts``, or in a section that is."""
    return any(key == part or key.startswith(f"{part}.") for part in parts)
