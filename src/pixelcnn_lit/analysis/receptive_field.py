"""The command ``receptive_field``: the receptive fields of several networks in one figure."""

from __future__ import annotations

import torch
from rich import get_console
from torch import Tensor

from pixelcnn_lit.analysis import figure
from pixelcnn_lit.analysis.influence import influence, summary
from pixelcnn_lit.config import ReceptiveFieldConfig, compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import write_whole


def receptive_field(config: ReceptiveFieldConfig) -> None:
    """Write the figure, and print how many pixels each network sees and misses."""
    if not config.out.lower().endswith(".png"):
        raise UserError(f"out={config.out}: must end in .png")
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
    fields = {}
    for wish in [config.models] if isinstance(config.models, str) else config.models:
        name, *overrides = wish.split()
        chosen = compose([f"model={name}", *overrides])
        total = torch.zeros(config.size)
        for draw in range(config.draws):
            torch.manual_seed(config.seed + draw)
            total += influence(build_density(chosen), config.size, config.draws, config.seed + draw)
        fields[wish] = total
    return fields


def trained(config: ReceptiveFieldConfig) -> dict[str, Tensor]:
    """The receptive fields of the checkpoints."""
    if config.ckpt is None:
        return {}
    paths = [config.ckpt] if isinstance(config.ckpt, str) else config.ckpt
    return {path: influence(load_with_config(path)[0], config.size, config.draws**2, config.seed) for path in paths}
