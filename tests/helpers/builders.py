"""Small models and data sets for the tests, and what a model tells while it draws."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pixelcnn_lit.any_order import AnyOrder
from pixelcnn_lit.config import compose
from pixelcnn_lit.config.model import NETWORKS, OrderedNetworkConfig
from pixelcnn_lit.density import Density
from pixelcnn_lit.factory import build_network
from pixelcnn_lit.likelihood import Categorical, Likelihood, LogisticMixture
from pixelcnn_lit.orders import ManyOrders
from pixelcnn_lit.sampling.draw import SoFar
from pixelcnn_lit.storage import checkpoint

SIZES: dict[str, dict[str, Any]] = {
    "pixelcnn": {"kernel_size": 3, "first_kernel_size": 7},
    "gated_pixelcnn": {"kernel_size": 3, "first_kernel_size": 3, "dilations": [1]},
    "pixelcnn_pp": {"resolutions": 3, "dropout": 0.5},
    "pixelsnail": {
        **{"n_blocks": 1, "first_kernel_size": 3, "heads": 2},
        **{"key_size": 3, "value_size": 4, "dropout": 0.5},
    },
    "lmconv": {"kernel_size": 3, "first_kernel_size": 3, "holes": 0.5},
}


def tiny_density(
    levels: int = 2,
    channels: int = 1,
    n_res: int = 1,
    hidden: int = 4,
    size: tuple[int, int] = (3, 3),
    seed: int = 0,
    network: str = "pixelcnn",
    n_mix: int | None = None,
    n_classes: int | None = None,
    orders: int = 1,
    **sizes: Any,
) -> Density:
    """A density small enough to enumerate, its weights spread out so that its conditionals differ."""
    torch.manual_seed(seed)
    likelihood: Likelihood = (
        Categorical(levels=levels) if n_mix is None else LogisticMixture(levels=levels, n_mix=n_mix)
    )
    options = {**SIZES[network], "n_res": n_res, "hidden": hidden, **sizes}
    section = NETWORKS[network].section(name=network, n_classes=n_classes, orders=orders, **options)
    built = build_network(section, likelihood, channels), likelihood, (channels, *size)
    if isinstance(section, OrderedNetworkConfig):
        return spread_out(AnyOrder(*built, orders, section.holes, n_classes))
    return spread_out(Density(*built, n_classes) if orders == 1 else ManyOrders(*built, orders, n_classes))


def spread_out(density: Density) -> Density:
    """In evaluation mode, its weights doubled, so that conditionals differ."""
    with torch.no_grad():
        for name, parameter in density.named_parameters():
            parameter.normal_() if name.endswith("class_bias") else parameter.mul_(2)
    return density.eval()


def all_images(levels: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Every image of (C, H, W), as a batch."""
    values = list(itertools.product(range(levels), repeat=math.prod(shape)))
    return torch.tensor(values, dtype=torch.uint8).view(-1, *shape)


def progress_of(how: Callable[..., torch.Tensor], *arguments: Any, **keywords: Any) -> tuple[torch.Tensor, list[SoFar]]:
    """What ``density.sample`` or ``complete`` gives, and what it told of it on the way, copied."""
    told: list[SoFar] = []

    def note(so_far: SoFar) -> None:
        told.append(dataclasses.replace(so_far, x=so_far.x.clone(), seen=so_far.seen.clone()))

    return how(*arguments, progress=note, **keywords), told


def dependence(network: nn.Module, height: int, width: int, channels: int = 1) -> torch.Tensor:
    """|d output / d input| summed over features: (C, H, W, C, H, W), [output, input], in float64."""
    x = torch.rand(1, channels, height, width, dtype=torch.double, requires_grad=True)
    out = network.double()(x).view(channels, -1, height, width).abs().sum(1)
    grads = [torch.autograd.grad(value, x, retain_graph=True)[0][0].abs() for value in out.flatten()]
    return torch.stack(grads).view(channels, height, width, channels, height, width)


def tap(x: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """x moved so that (r, c) holds what was at (r + down, c + right), zeros from outside; down at most 0."""
    height, width = x.shape[2:]
    far = F.pad(x, (width, width, height, 0))
    return far[:, :, height + down : 2 * height + down, width + right : 2 * width + right]


def write_idx(path: Path, array: np.ndarray) -> None:
    """An IDX file of unsigned bytes, as MNIST's are; gzipped where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_checkpoint(path: Path, density: Density, overrides: Sequence[str], names: Sequence[str] = ()) -> None:
    """A checkpoint of a density that ``build(overrides)`` made, as a run writes it, without the state of a training."""
    weights = {checkpoint.PREFIX + name: weight.cpu() for name, weight in density.state_dict().items()}
    checkpoint.write(path, {checkpoint.KEY: checkpoint.header(compose(overrides), names), "state_dict": weights})


def write_mnist(folder: Path, train: int = 48, test: int = 20, name: str = "MNIST", suffix: str = "") -> Path:
    """A small data set of blobs in torchvision's layout."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        for image in images:
            top, left = rng.integers(4, 14, size=2)
            image[top : top + 8, left : left + 8] = rng.integers(100, 256, size=(8, 8))
        raw = folder / name / "raw"
        write_idx(raw / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte{suffix}", rng.integers(0, 10, size=count))
    return folder
