"""The command ``sample``: draws or completes images from a checkpoint, and writes a picture and the levels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich import get_console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.config import SampleConfig, TrainConfig
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.masks import check_mask, half_known, read_mask, unusable
from pixelcnn_lit.sampling.draw import Progress as RowsDone
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import write_whole

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def sample(config: SampleConfig) -> None:
    """Write a grid of samples or completions as a PNG, and their levels beside it as .npy."""
    refuse_contradictions(config)
    density, trained = load_with_config(config.ckpt)
    density.to(pick_device(config.device), DTYPES[config.precision])
    y = classes_to_draw(config, density)
    with enough_memory(f"batch_size={config.batch_size}, n={config.n}"):
        x, picture = (complete if completes(config) else draw)(config, density, trained, y)
    out = Path(config.out)
    with write_whole(out.with_suffix(".npy")) as file:
        np.save(file, x.numpy())
    pictures.save_png(out, picture)
    get_console().print(f"{out} and the levels, {out.with_suffix('.npy')}", highlight=False, soft_wrap=True)


def completes(config: SampleConfig) -> bool:
    """Whether the config asks for completions, not samples."""
    return config.occlude is not None or config.mask is not None


def refuse_contradictions(config: SampleConfig) -> None:
    """Raise UserError for settings that contradict each other, before any file is read."""
    if Path(config.out).suffix.lower() != ".png":
        raise UserError(f"out={config.out}: must end in .png")
    if config.occlude is not None and config.mask is not None:
        raise UserError(f"mask={config.mask}: give either mask or occlude={config.occlude}, not both")
    if completes(config) and config.size is not None:
        raise UserError(f"size={list(config.size)}: completions have the size of their images")
    if config.mask is not None:
        check_mask(config.mask)


def classes_to_draw(config: SampleConfig, density: Density) -> Tensor | None:
    """The class of each image, (n,); None if the model has none or draws them. Raise UserError for a wrong label."""
    label, n_classes = config.label, density.n_classes
    if label is None:
        return None
    if n_classes is None:
        raise UserError(
            f"label={label}: no classes in this model; train one with model.n_classes='${{data.n_classes}}'"
        )
    if label == "each":
        if completes(config):
            raise UserError("label=each: completions have the class that label gives, or the one that the model picks")
        y = pictures.class_rows(n_classes, config.n)
        if y is None:
            raise UserError(f"n={config.n}: label=each needs at least one image for each of the {n_classes} classes")
        return y
    if label >= n_classes:
        raise UserError(f"label={label}: must be from 0 to {n_classes - 1}, or each")
    return torch.full((config.n,), label)


def draw(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None
) -> tuple[Tensor, pictures.Picture]:
    """Draw one sample per class in y, or ``n`` samples without y. Return the levels and a grid."""
    parts = []
    for first, count, show in _batches(config, config.n if y is None else len(y), "samples"):
        parts.append(
            density.sample(
                count,
                config.seed,
                None if y is None else y[first : first + count],
                size=config.size,
                temperature=config.temperature,
                method=config.method,
                first=first,
                progress=show,
            ).cpu()
        )
    x = torch.cat(parts)
    scale = config.scale or pictures.default_scale(x.shape[3])
    rows = density.n_classes if config.label == "each" else None
    return x, pictures.sample_grid(x, density.levels, scale, rows)


def complete(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None
) -> tuple[Tensor, pictures.Picture]:
    """Complete the first n images of the split. Return the levels and a picture with originals and completions."""
    original, known = _given(config, trained)
    parts = []
    for first, count, show in _batches(config, config.n, "completions"):
        parts.append(
            density.complete(
                original[first : first + count],
                known,
                config.seed,
                None if y is None else y[first : first + count],
                temperature=config.temperature,
                method=config.method,
                first=first,
                progress=show,
            ).cpu()
        )
    x = torch.cat(parts)
    scale = config.scale or pictures.default_scale(x.shape[3])
    return x, pictures.completion_grid(original, known, x, density.levels, scale)


def _given(config: SampleConfig, trained: TrainConfig) -> tuple[Tensor, Tensor]:
    """The first n images of the split, and the mask of known pixels (H, W)."""
    data = ImageDataModule(config.data.instead_of(trained.data), trained.seed)
    images = data.split(config.split).images
    if config.n > len(images):
        raise UserError(f"n={config.n}: the {config.split} split has {len(images)} images")
    original = images[: config.n]
    height, width = original.shape[2:]
    if config.occlude is not None:
        known = half_known(config.occlude, height, width)
    else:
        assert config.mask is not None
        known = read_mask(config.mask, height, width)
        told = f"mask={config.mask}: {int(known.sum())} of {known.numel()} pixels are known, the others are drawn"
        get_console().print(told, highlight=False, soft_wrap=True, markup=False)
    if (late := unusable(known)) > 0:
        get_console().print(
            f"note: {late} of {int(known.sum())} known pixels come after an unknown one in raster order (rows from the "
            "top, pixels from the left). They stay as they are, but cannot condition the unknown pixels before them.",
            style="yellow",
            highlight=False,
        )
    return original, known


def _batches(config: SampleConfig, n: int, what: str) -> Iterator[tuple[int, int, RowsDone]]:
    """For each batch: its first image, its size, and a function that shows progress. At the end, print the time."""
    start = time.perf_counter()
    with _bar(n) as show:
        for first in range(0, n, config.batch_size):
            count = min(config.batch_size, n - first)

            def rows_done(row: int, rows: int, first: int = first, count: int = count) -> None:
                show(first + count * row / rows, row, rows)

            yield first, count, rows_done
    get_console().print(f"{n:,} {what} in {time.perf_counter() - start:.2f} s", highlight=False)


@contextmanager
def _bar(n: int) -> Iterator[Callable[[float, int, int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=get_console(), transient=True) as bar:
        task = bar.add_task("drawing", total=n, state="")

        def show(done: float, row: int, rows: int) -> None:
            bar.update(task, completed=done, state=f"{int(done)}/{n} images, row {row}/{rows}")

        yield show
