"""Models that come with the package: how a run becomes one, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import torch
from rich import get_console
from rich.table import Table

from pixelcnn_lit.analysis.batches import batches_of
from pixelcnn_lit.config import PretrainedConfig, TrainConfig, compose
from pixelcnn_lit.config.types import PRETRAINED
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.metrics import BitsPerDim
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.storage.archive import read_safetensors, write_safetensors

WORST = 0.0005
"""So many bits per dimension may be lost by weights in float16."""
FLOAT32 = "test/bits_per_dim_of_float32"
"""The figure of the weights before they were rounded to float16."""
DIGITS = 64
"""How many digits a model is checked by."""
MOST_BYTES = 700_000
"""A model is not larger, so that all of them are a small part of the package."""


def ship(ckpt: str | Path, out: Path, command: str) -> dict[str, Any]:
    """Write the model of a checkpoint with weights in float16 and its figures. Returns them.

    ``command`` is what trained it.

    Raises UserError if float16 loses more than :data:`WORST` bits/dim on the test split, or for weights of more than
    :data:`MOST_BYTES`.
    """
    density, trained = checkpoint.load_with_config(ckpt)
    data = ImageData(trained.data, trained.seed, context=trained.context)
    before = of_test(density, data)
    weights = {name: weight.half() for name, weight in density.state_dict().items()}
    density.load_state_dict(weights)
    after = of_test(density, data)
    if not after - before <= WORST:
        raise UserError(f"ckpt={ckpt}: in float16 it has {after:.5f} bits/dim, in float32 {before:.5f}")
    figures = {
        "test/bits_per_dim": after,
        FLOAT32: before,
        "images": len(data.split("test")),
        "of_digits": of_digits(density, trained),
        "source": data.source,
        "command": command,
        "date": date.today().isoformat(),
    }
    size = sum(weight.nbytes for weight in weights.values())
    if size > MOST_BYTES:
        raise UserError(f"{out}: {size:,} bytes of weights; at most {MOST_BYTES:,}")
    header = checkpoint.header(anonymous(trained), density.class_names)
    write_safetensors(out, weights, {**header, "shipped": figures})
    return figures


def of_test(density: Density, data: ImageData) -> float:
    """Bits/dim of the test split, given the classes for a class-conditional model: what a run reports as its test."""
    metric = BitsPerDim().to(density.device)
    with batches_of(data, "test", density.device) as batches:
        for x, y, *context in batches:
            metric.update(density(x, y, *context))
    return float(metric.compute())


def of_digits(density: Density, trained: TrainConfig) -> float:
    """Bits/dim of the first test digits that come with the package: a figure that can be checked without any file.

    Raises UserError for a model of other images than 28x28 in grey.
    """
    told = [f"data.levels={trained.data.levels}", f"data.binarize={trained.data.binarize or 'null'}"]
    config = compose(["data=digits", *told]).data
    if density.image_shape != config.image_shape or density.context_shape is not None:
        raise UserError(f"a model of {density.image_shape} images cannot be checked by digits")
    x = ImageData(config, 0).split("test").images[:DIGITS]
    with torch.inference_mode():
        return float(density.bits_per_dim(x).double().mean())


def anonymous(config: TrainConfig) -> TrainConfig:
    """A config without the places of one machine."""
    places = {"dir": "data"} if "dir" in type(config.data).model_fields else {}
    if getattr(config.data, "source", None) == "torchvision":
        places["source"] = "auto"
    changes = {"name": None, "ckpt": None, "weights": None, "data": config.data.model_copy(update=places)}
    return config.model_copy(update=changes)


def shipped() -> dict[str, Path]:
    """The files of all models that come with the package, by name."""
    return {path.stem: path for path in sorted(PRETRAINED.glob("*.safetensors"))}


def known(path: Path) -> Mapping[str, Any]:
    """What a file says of its model: its format, config and figures."""
    own: Mapping[str, Any] = read_safetensors(path)[1]
    return own


def show(config: PretrainedConfig) -> None:
    """Print a table of the models that come with the package: what is shipped, with weights in float16, and its run."""
    rows = Table(show_header=True, header_style="bold")
    numbers = ("test bits/dim\nin float16", "in float32")
    for column in ("ckpt=pretrained:", "network", "data", *numbers):
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        rows.add_column(column, justify=justify, no_wrap=column != "data", overflow="fold", min_width=8)
    lines = []
    for name, path in shipped().items():
        weights, own = read_safetensors(path)
        figures, data = own["shipped"], own["config"]["data"]
        binarised = ", binarised" if data["binarize"] else ""
        given = ", given the class" if own["config"]["model"]["n_classes"] else ""
        rows.add_row(
            name,
            own["config"]["model"]["name"],
            f"{data['name']}, {data['levels']} levels{binarised}{given}",
            f"{figures['test/bits_per_dim']:.5f}",
            f"{figures[FLOAT32]:.5f}",
        )
        size = f"{sum(weight.numel() for weight in weights.values()):,} parameters, {path.stat().st_size / 1000:.0f} kB"
        told = f"seed {own['config']['seed']}, {figures['images']:,} test images ({figures['source']}), {size}"
        lines.append(f"{name}, {figures['date']}, {told}: {figures['command']}")
    get_console().print(rows)
    for line in lines:
        say(line)
