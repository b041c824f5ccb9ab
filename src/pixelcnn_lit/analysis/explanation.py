"""The command ``explain``: which pixels of an image are hard to foresee, and which images of a split are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import get_console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis import maps
from pixelcnn_lit.analysis.evaluation import score
from pixelcnn_lit.analysis.given import own_batch, refuse_choice
from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.config import ExplainConfig, TrainConfig
from pixelcnn_lit.data.images import Batch, ImageData
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.progress import tracked
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import check_file, write_whole

SURPRISING = 10
"""How many images of a split are shown by default."""
MAPS = ".npz"
"""The ending of the file of maps beside the picture."""
AT_ONCE = 1 << 26
"""So many logits of a batch are held at a time."""


@dataclass(frozen=True)
class Explained:
    """The maps of images, levels (N, C, H, W): ``bits`` and ``entropy`` of each pixel, in bits, (N, H, W)."""

    levels: Tensor
    bits: Tensor
    entropy: Tensor

    @property
    def per_dim(self) -> tuple[Tensor, Tensor]:
        """Bits and entropy per dimension of each image, (N,)."""
        dimensions = math.prod(self.levels.shape[1:])
        return self.bits.sum((1, 2)) / dimensions, self.entropy.sum((1, 2)) / dimensions


def explain(config: ExplainConfig) -> None:
    """Write the maps of the user's own pictures, or of the most surprising images of a split, as a PNG and a .npz file.

    Raises UserError if the checkpoint, the pictures or the data cannot be read, or a likelihood is not finite.
    """
    refuse_contradictions(config)
    density, trained = load_with_config(config.ckpt)
    device = pick_device(config.device)
    density.to(device)
    own = [config.image] if isinstance(config.image, str) else config.image
    with enough_memory(f"batch_size={config.batch_size}"):
        if own:
            batch, numbers, names = own_batch(own, trained), None, [Path(path).name for path in own]
        else:
            batch, numbers = most_surprising(config, density, trained, device)
            names = [f"{config.split} {number}" for number in numbers]
        explained = explanation(density, batch)
    if not explained.bits.isfinite().all():
        raise UserError(f"ckpt={config.ckpt}: log p(x) is not finite: its weights have gone wrong")
    save(config.out, explained, density.levels, names, numbers)
    get_console().print(table(explained, names))
    say(f"{config.out} and the maps, {Path(config.out).with_suffix(MAPS)}")


def refuse_contradictions(config: ExplainConfig) -> None:
    """Raise UserError for settings that contradict each other, before a checkpoint is read."""
    if Path(config.out).suffix.lower() != ".png":
        raise UserError(f"out={config.out}: must end in .png")
    check_outputs(config, MAPS)
    if config.image is not None and config.n is not None:
        raise UserError(f"n={config.n}: counts images of the split; leave it out with image=")
    if config.image is not None:
        refuse_choice(config)
    for path in [config.image] if isinstance(config.image, str) else config.image or ():
        check_file("image", path)


def most_surprising(
    config: ExplainConfig, density: Density, trained: TrainConfig, device: torch.device
) -> tuple[Batch, list[int]]:
    """The n images of the split with the least p(x), the least first, as a batch, and their numbers in the split.

    Raises UserError if the split has fewer.
    """
    check_outputs(config, MAPS, trained=trained.data)
    chosen = config.data.instead_of(trained.data, batch_size=config.batch_size, n_classes=0)
    data = ImageData(chosen, trained.seed, context=trained.context)
    images, n = data.split(config.split), config.n or SURPRISING
    if n > len(images):
        raise UserError(f"n={n}: the {config.split} split has {len(images)} images")
    log_probs = score(density, data, config.split, device, labelled=False).log_probs
    numbers = log_probs.argsort(stable=True)[:n]
    return images[numbers], numbers.tolist()


def explanation(density: Density, batch: Batch) -> Explained:
    """The maps of a batch, in a few images at a time. The channels of a pixel are summed."""
    images, bits, entropy = batch[0], [], []
    few = max(1, AT_ONCE // (math.prod(images.shape[1:]) * density.levels))
    parts = zip(*(part.split(few) for part in batch), strict=True)
    with torch.inference_mode(), tracked(parts, "maps of images", len(images), size=lambda part: len(part[0])) as each:
        for x, _, *context in each:
            above = context[0] if context else None
            bits.append(density.nats(x, context=above).sum(1).cpu() / math.log(2))
            entropy.append(density.entropy(x, context=above).sum(1).cpu() / math.log(2))
    return Explained(images, torch.cat(bits), torch.cat(entropy))


def save(out: str, explained: Explained, levels: int, names: Sequence[str], numbers: list[int] | None) -> None:
    """Write the picture, and the maps beside it."""
    costs = explained.per_dim[0].tolist()
    texts = [f"{name}\n{cost:.2f} bits/dim" for name, cost in zip(names, costs, strict=True)]
    figure = maps.draw(pictures.as_rgb(explained.levels, levels), explained.bits, explained.entropy, texts)
    with write_whole(Path(out).with_suffix(MAPS)) as file:
        arrays: dict[str, Any] = {"names": np.array(names)} if numbers is None else {"numbers": np.array(numbers)}
        arrays |= {"bits": explained.bits.numpy(), "entropy": explained.entropy.numpy()}
        np.savez(file, levels=explained.levels.numpy(), **arrays)
    with write_whole(out) as file:
        figure.savefig(file, format="png", dpi=100, bbox_inches="tight")


def table(explained: Explained, names: Sequence[str]) -> Table:
    """A line for each image."""
    rows = Table("image", "bits/dim", "entropy, bits/dim", "costliest pixel: row, column, bits")
    width = explained.bits.shape[2]
    for name, cost, mean, bits in zip(names, *explained.per_dim, explained.bits, strict=True):
        row, column = divmod(int(bits.argmax()), width)
        rows.add_row(
            escape(name), f"{float(cost):.4f}", f"{float(mean):.4f}", f"{row}, {column}, {float(bits.max()):.1f}"
        )
    return rows
