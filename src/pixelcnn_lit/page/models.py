"""The models of the page: those of the command line, and those that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from pixelcnn_lit.analysis.detection import refuse_context
from pixelcnn_lit.analysis.shipped import shipped
from pixelcnn_lit.config import DemoConfig, TrainConfig
from pixelcnn_lit.data.folder import MODES
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import shown


@dataclass(frozen=True)
class Model:
    """A density, the config of its run, and the name by which a visitor chooses it."""

    name: str
    density: Density
    trained: TrainConfig

    @cached_property
    def sentence(self) -> str:
        """What it is."""
        data, density = self.trained.data, self.density
        channels, height, width = data.image_shape
        weights = sum(parameter.numel() for parameter in density.parameters())
        colours = "in colour" if channels == 3 else "in grey"
        binarised = ", binarised" if data.binarize else ""
        classes = f", given one of {density.n_classes} classes" if density.n_classes else ""
        scans = f", in {len(density.scans)} scans" if len(density.scans) > 1 else ""
        return (
            f"{self.trained.model.name} of {weights:,} weights, of images of {width}x{height} pixels {colours} at "
            f"{data.levels} levels{binarised} ({data.name}){classes}{scans}"
        )


def models(config: DemoConfig) -> dict[str, Model]:
    """The models by name: that of ``ckpt`` first, then that of ``beside``, then those that come with the package.

    Raises UserError if one of the command line cannot be read, or is no density of pictures.
    """
    device = pick_device(config.device)
    asked = {"ckpt": config.ckpt, "beside": config.beside}
    places = {key: Path(path) for key, path in asked.items() if path is not None}
    found: dict[str, Model] = {}
    for key, path in [*places.items(), *(("ckpt", path) for path in shipped().values())]:
        name = shown(path)
        if name not in found:
            found[name] = _model(name, path, key, device)
    return found


def _model(name: str, path: Path, key: str, device: torch.device) -> Model:
    density, trained = load_with_config(path, key)
    refuse_context(key, str(path), trained)
    if trained.data.holds_levels:
        raise UserError(f"{key}={path}: its images are codes, not pictures")
    if trained.data.image_shape[0] not in MODES:
        raise UserError(f"{key}={path}: its images have {trained.data.image_shape[0]} channels; the page shows 1 or 3")
    return Model(name, density.to(device), trained)
