"""The command ``receptive_field``: the receptive fields of several networks in one figure."""

from __future__ import annotations

import torch
from rich import get_console
from torch import Tensor

from pixelcnn_lit.analysis import figure
from pixelcnn_lit.analysis.influence import influence, summary
from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.config import ReceptiveFieldConfig, compose
from pixelcnn_lit.config.types import named
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.progress import tracked
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import write_whole


def receptive_field(config: ReceptiveFieldConfig) -> None:
    """Write the figure, and print how many pixels each network sees and misses."""
    if not config.out.lower().endswith(".png"):
        raise UserError(f"out={config.out}: must end in .png")
    check_outputs(config)
    panels = untrained(config) | trained(config)
    if not panels:
        raise UserError("models=[]: name at least one network, or a ckpt")
    with write_whole(config.out) as file:
        figure.draw(panels).savefig(file, format="png", dpi=config.dpi)
    console = get_console()
    for title, seen in panels.items():
        console.print(f"{title}: {summary(seen)}", highlight=False, markup=False, soft_wrap=True)
    console.print(config.out, highlight=False, markup=False, soft_wrap=True)


def untrained(config: ReceptiveFieldConfig) -> dict[str, Tensor]:
    """The receptive fields of the networks in ``models``, summed over several draws of random weights."""
    wishes = [config.models] if isinstance(config.models, str) else config.models
    chosen = {wish: compose([f"model={wish.split()[0]}", *wish.split()[1:]]) for wish in wishes}
    fields = {wish: torch.zeros(config.size) for wish in wishes}
    draws = [(wish, config.seed + draw) for wish in chosen for draw in range(config.draws)]
    with tracked(draws, "draws of weights", len(draws)) as each:
        for wish, seed in each:
            torch.manual_seed(seed)
            fields[wish] += field(build_density(chosen[wish]), config.size, config.draws, seed)
    return fields


def trained(config: ReceptiveFieldConfig) -> dict[str, Tensor]:
    """The receptive fields of the checkpoints."""
    if config.ckpt is None:
        return {}
    paths = [config.ckpt] if isinstance(config.ckpt, str) else config.ckpt
    draws, seed = config.draws**2, config.seed
    return {named(path): field(load_with_config(path)[0], config.size, draws, seed) for path in paths}


def field(density: Density, size: tuple[int, int], draws: int, seed: int) -> Tensor:
    """The receptive field of a density. Raise UserError if it has no contexts for images of that size."""
    if density.context_shape is not None:
        try:
            density.context_shape.of(*size)
        except ValueError as error:
            raise UserError(f"size={list(size)}: {error}") from error
    return influence(density, size, draws, seed)
