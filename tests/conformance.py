"""The conformance kit's list: tiny configurations, over which tests/test_conformance.py runs every property.

A new network, likelihood or plug-in is one line of :data:`CASES`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from helpers.builders import spread_out
from pixelcnn_lit.config import TrainConfig, compose
from pixelcnn_lit.density import Density
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.nn.inputs import level_type
from pixelcnn_lit.sampling.conditionals import Given

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZE = (4, 3)
ENUMERABLE = 600
"""So many images are few enough to sum over."""


@dataclass(frozen=True)
class Case:
    """A tiny configuration: its name, overrides of the train config, and, where it is foreign, its plug-in's folder.

    A folder of examples/ holds one module for each plug-in, and its yaml files in conf/.
    """

    name: str
    overrides: tuple[str, ...]
    levels: int = 2
    channels: int = 1
    classes: int | None = None
    orders: int = 1
    folder: str | None = None
    context: str | None = None
    factor: int = 1
    """By which the context is smaller than the image."""
    codes: bool = False
    """Whether the images are codes, which the network sees as learned vectors."""
    trains: bool = False
    """Whether the slow property, a training, runs over it: once a network and once a foreign likelihood."""

    @property
    def all_overrides(self) -> list[str]:
        """The overrides that :func:`pixelcnn_lit.config.compose` takes."""
        height, width = self.size
        shape = f"[{self.channels},{height},{width}]"
        data = ["data=npz", "data.path=none.npz"]
        if self.codes:
            data = ["data=codes", "data.ckpt=none", "data.level=bottom", "data.embedding=3"]
            data += [f"data.factor={self.factor}", f"data.n_classes={self.classes or 0}"]
        data += [f"data.levels={self.levels}", f"data.image_shape={shape}"]
        if self.classes is not None:
            data += [f"data.n_classes={self.classes}", f"model.n_classes={self.classes}"]
        if self.context is not None:
            data += [f"context={self.context}", "context.features=4", "context.n_res=1"]
        if self.context == "small":
            data += [f"context.factor={self.factor}"]
        data += [f"model.orders={self.orders}"] if self.orders > 1 else []
        foreign = []
        if self.folder is not None:
            modules = ",".join(path.stem for path in sorted((EXAMPLES / self.folder).glob("*.py")))
            conf = (EXAMPLES / self.folder / "conf").as_uri()
            foreign = [f"plugins=[{modules}]", f"hydra.searchpath=['{conf}']"]
        return [*foreign, *self.overrides, *data]

    def config(self, more: Sequence[str] = ()) -> TrainConfig:
        """The checked config, and ``more`` overrides."""
        return compose([*self.all_overrides, *more])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of its images."""
        return self.fitting(SIZE)

    def fitting(self, size: tuple[int, int]) -> tuple[int, int]:
        """``size``, or the next larger one that has a context."""
        return -(-size[0] // self.factor) * self.factor, -(-size[1] // self.factor) * self.factor

    def enumerable_shape(self) -> tuple[int, int, int] | None:
        """The largest of some small images all of which can be summed over; None where there is none."""
        sizes = [(3, 3), (2, 3), (2, 2), (1, 3), (1, 2), (1, 1)]
        fit = [
            (h, w)
            for h, w in sizes
            if self.levels ** (self.channels * h * w) <= ENUMERABLE and self.fitting((h, w)) == (h, w)
        ]
        return (self.channels, *fit[0]) if fit else None


PIXELCNN = ("model=pixelcnn", "model.n_res=1", "model.hidden=6")
GATED = ("model=gated_pixelcnn", "model.n_res=2", "model.hidden=6", "model.dilations=[1,2]")
PP = ("model=pixelcnn_pp", "model.n_res=1", "model.hidden=4", "model.resolutions=2")
SNAIL = (
    *("model=pixelsnail", "model.n_blocks=2", "model.n_res=1", "model.hidden=6"),
    *("model.heads=2", "model.key_size=3", "model.value_size=4", "model.dropout=0.1"),
)
ATTENTION = ("model=attention_pixelcnn", "model.hidden=6", "model.kernel_size=3", "model.first_kernel_size=3")
LMCONV = ("model=lmconv", "model.n_res=1", "model.hidden=6", "model.orders=1")
MIXTURE = ("likelihood=logistic_mixture", "likelihood.n_mix=2")
GAUSSIAN = ("likelihood=discrete_gaussian",)

CASES = [
    Case("pixelcnn", PIXELCNN, trains=True),
    Case("pixelcnn-colour-classes", PIXELCNN, 4, channels=3, classes=3),
    Case("pixelcnn-256", PIXELCNN, 256),
    Case("pixelcnn-mixture-256-colour", (*PIXELCNN, *MIXTURE), 256, channels=3),
    Case("gated", GATED, classes=3, trains=True),
    Case("gated-colour", GATED, channels=3),
    Case("gated-mixture-256", (*GATED, *MIXTURE), 256),
    Case("gated-mixture-colour", (*GATED, *MIXTURE), 4, channels=3, classes=2),
    Case("pp", PP, 4),
    Case("pp-mixture-colour-classes", (*PP, *MIXTURE), 2, channels=3, classes=3, trains=True),
    Case("pp-mixture-256", (*PP, *MIXTURE), 256),
    Case("snail", SNAIL, 4, classes=2, trains=True),
    Case("snail-colour", SNAIL, channels=3),
    Case("snail-mixture-256-colour", (*SNAIL, *MIXTURE), 256, channels=3),
    Case("lmconv", LMCONV, 4, trains=True),
    Case("lmconv-colour", LMCONV, channels=3),
    Case("lmconv-8-orders-classes", LMCONV, classes=2, orders=8, trains=True),
    Case("lmconv-mixture-2-orders-grey", (*LMCONV, *MIXTURE), 4, channels=3, context="grey", orders=2),
    Case("lmconv-small", LMCONV, context="small", factor=2),
    Case("pixelcnn-small", PIXELCNN, 4, context="small", factor=2, trains=True),
    Case("gated-grey-classes", GATED, channels=3, classes=2, context="grey"),
    Case("pp-mixture-grey", (*PP, *MIXTURE), 4, channels=3, context="grey"),
    Case("pp-small", PP, 4, context="small", factor=2),
    Case("snail-small", SNAIL, context="small", factor=2),
    Case("gated-codes", GATED, 3, classes=2, codes=True, context="codes", factor=2),
    Case("snail-codes-512", SNAIL, 512, codes=True, factor=2),
    Case("pixelcnn-2-orders-colour", PIXELCNN, channels=3, orders=2),
    Case("gated-8-orders-grey-classes", GATED, channels=3, classes=2, context="grey", orders=8, trains=True),
    Case("pp-mixture-4-orders", (*PP, *MIXTURE), 4, orders=4),
    Case("snail-8-orders-small", SNAIL, context="small", factor=2, orders=8),
    Case("attention-4-orders", ATTENTION, 4, orders=4, folder="own_network"),
    Case("attention", ATTENTION, 4, classes=2, folder="own_network", trains=True),
    Case("attention-mixture-colour", (*ATTENTION, *MIXTURE), 4, channels=3, folder="own_network"),
    Case("gaussian-colour", (*PIXELCNN, *GAUSSIAN), 4, channels=3, folder="own_likelihood", trains=True),
    Case("gaussian-256", (*GATED, *GAUSSIAN), 256, folder="own_likelihood"),
]


def spread_density(config: TrainConfig) -> Density:
    """A density in evaluation mode whose conditionals differ."""
    torch.manual_seed(4)  # one with which no case draws one level nearly always
    return spread_out(build_density(config))


def images(case: Case, n: int, size: tuple[int, int] | None = None) -> Tensor:
    """Random images of levels, (n, C, H, W)."""
    generator = torch.Generator().manual_seed(1)
    height, width = size or case.size
    shape = (n, case.channels, height, width)
    return torch.randint(0, case.levels, shape, generator=generator, dtype=level_type(case.levels))


def given(case: Case, density: Density, n: int, size: tuple[int, int] | None = None) -> Given:
    """A class and a context for each of n images, where the case has them."""
    y = None if case.classes is None else torch.arange(n, device=density.device) % case.classes
    if density.context_shape is None:
        return Given(y)
    context = torch.rand(n, *density.context_shape.of(*(size or case.size)), generator=torch.Generator().manual_seed(2))
    return Given(y, context.to(density.device, next(density.parameters()).dtype))


def dependence(density: Density, x: Tensor, given: Given) -> Tensor:
    """|d parameters / d input|, summed over images and features, [output, input], in raster order, channels inside.

    Where the likelihood couples the channels of a pixel, they have their parameters in common: (H W, H W).
    """
    groups = 1 if density.likelihood.couples_channels else x.shape[1]
    inputs = density.normalise(x).requires_grad_()
    context = None if given.context is None else given.context.to(inputs.dtype)
    out = density.network(inputs, **density.given(given.y, context))
    out = out.unflatten(1, (groups, -1)).permute(0, 3, 4, 1, 2)  # (N, H, W, groups, features)
    # A random direction: features whose gradients cancel are none.
    weights = torch.rand(out.shape[-1], dtype=out.dtype, device=out.device) + 0.5
    values = (out * weights).sum((0, 4)).flatten()
    rows = [torch.autograd.grad(value, inputs, retain_graph=True)[0].abs().sum(0) for value in values]
    seen = torch.stack(rows).permute(0, 2, 3, 1)  # (outputs, H, W, C)
    if groups == 1:
        seen = seen.sum(3)
    return seen.reshape(len(values), math.prod(seen.shape[1:]))
