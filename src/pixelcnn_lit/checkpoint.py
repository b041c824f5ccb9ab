"""Checkpoints are data: reading one runs none of its content and imports nothing that it names."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pixelcnn_lit.config import TrainConfig, check
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.registry import build_density

KEY = "pixelcnn_lit"
FORMAT = 1
PREFIX = "density."


def header(config: TrainConfig) -> dict[str, Any]:
    """What this package adds to a Lightning checkpoint: the format's number and the whole config, plain."""
    return {"format": FORMAT, "config": config.model_dump(mode="json")}


def read(path: str | Path) -> tuple[TrainConfig, dict[str, Any]]:
    """The checked config of a checkpoint and its whole content, on the CPU.

    Raises UserError that names the file if it is missing, damaged, or not a checkpoint of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"ckpt={path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it finds in files that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(f"ckpt={path}: damaged, or no checkpoint") from error
    own = content.get(KEY) if isinstance(content, dict) else None
    if not isinstance(own, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"ckpt={path}: no checkpoint of pixelcnn-lit")
    if own.get("format") != FORMAT:
        raise UserError(f"ckpt={path}: format {own.get('format')}; this version of pixelcnn-lit reads format {FORMAT}")
    config = own.get("config")
    if not isinstance(config, Mapping):
        raise UserError(f"ckpt={path}: damaged: it has no config")
    return check(config, TrainConfig, f"ckpt={path}: "), content


def load_with_config(path: str | Path) -> tuple[Density, TrainConfig]:
    """A trained density in evaluation mode and the config of its run. Raise UserError as :func:`read` does."""
    config, content = read(path)
    with torch.device("meta"):
        expected = build_density(config.model).state_dict()
    weights = {
        name.removeprefix(PREFIX): weight
        for name, weight in content["state_dict"].items()
        if isinstance(name, str) and name.startswith(PREFIX)
    }
    # Compared before any memory is asked for: a config may want more than the file holds.
    if weights.keys() != expected.keys() or not all(_fits(weights[name], expected[name]) for name in expected):
        raise UserError(f"ckpt={path}: its weights do not fit its own config")
    density = build_density(config.model)
    density.load_state_dict(weights)
    return density.eval(), config


def _fits(weight: Any, expected: torch.Tensor) -> bool:
    return isinstance(weight, torch.Tensor) and weight.is_floating_point() and weight.shape == expected.shape


def load(path: str | Path) -> Density:
    """A trained density, on the CPU and in evaluation mode, from a checkpoint that ``train`` wrote.

    Raises UserError that names the file if it is missing, damaged, or not a checkpoint of this package.
    """
    return load_with_config(path)[0]


def check_resumable(path: str | Path, config: TrainConfig) -> None:
    """Raise UserError unless a run of ``config`` can go on from the checkpoint."""
    theirs, content = read(path)
    if "optimizer_states" not in content or "loops" not in content:
        raise UserError(f"ckpt={path}: holds no state of a training to resume")
    for section in ("model", "data", "optimizer"):
        for key, value in getattr(config, section).model_dump().items():
            other = getattr(theirs, section).model_dump()[key]
            if other != value and key not in ("dir", "source"):
                raise UserError(f"{section}.{key}={value}: ckpt={path} was trained with {other}; resume with the same")
