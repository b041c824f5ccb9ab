"""``python -m pixelcnn_lit.receptive_field``: draw what the centre pixel sees, one panel a network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pixelcnn_lit import command

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn_lit.config import ReceptiveFieldConfig


def main() -> None:
    """Run the command. ``model=a,b`` is ``models=[a,b]``: Hydra would take the first for a group and a sweep."""
    sys.argv[1:] = [f"models=[{word[6:]}]" if word.startswith("model=") else word for word in sys.argv[1:]]
    command.run("receptive_field", receptive_field)


def receptive_field(composed: DictConfig) -> None:
    """Write the figure, and say how many pixels each network sees and misses."""
    from pixelcnn_lit.config import ReceptiveFieldConfig, check

    config = check(composed, ReceptiveFieldConfig)

    from rich import get_console

    from pixelcnn_lit.errors import UserError
    from pixelcnn_lit.files import write_whole

    if not config.out.lower().endswith(".png"):
        raise UserError(f"out={config.out}: must end in .png")
    panels = untrained(config) | trained(config)
    if not panels:
        raise UserError("models=[]: name at least one network, or a ckpt")

    from pixelcnn_lit import reach_figure
    from pixelcnn_lit.reach import summary

    with write_whole(config.out) as file:
        reach_figure.draw(panels).savefig(file, format="png", dpi=config.dpi)
    console = get_console()
    for title, seen in panels.items():
        console.print(f"{title}: {summary(seen)}", highlight=False, markup=False, soft_wrap=True)
    console.print(config.out, highlight=False, soft_wrap=True)


def untrained(config: ReceptiveFieldConfig) -> dict[str, Tensor]:
    """The receptive fields of the networks of ``models``, summed over several draws of their weights."""
    import torch

    from pixelcnn_lit.config import compose
    from pixelcnn_lit.reach import receptive_field
    from pixelcnn_lit.registry import build_density

    fields = {}
    for wish in [config.models] if isinstance(config.models, str) else config.models:
        name, *overrides = wish.split()
        chosen = compose([f"model={name}", *overrides])
        total = torch.zeros(config.size)
        for draw in range(config.draws):
            torch.manual_seed(config.seed + draw)
            total += receptive_field(build_density(chosen), config.size, config.draws, config.seed + draw)
        fields[wish] = total
    return fields


def trained(config: ReceptiveFieldConfig) -> dict[str, Tensor]:
    """The receptive fields of the checkpoints."""
    from pixelcnn_lit.checkpoint import load
    from pixelcnn_lit.reach import receptive_field

    if config.ckpt is None:
        return {}
    paths = [config.ckpt] if isinstance(config.ckpt, str) else config.ckpt
    return {path: receptive_field(load(path), config.size, config.draws**2, config.seed) for path in paths}


if __name__ == "__main__":
    main()
