"""``python -m pixelcnn_lit.sample``: draw images from a checkpoint, or complete half-hidden ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pixelcnn_lit import command

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn_lit.config import SampleConfig, TrainConfig
    from pixelcnn_lit.density import Density


def main() -> None:
    """Run the command."""
    command.run("sample", sample)


def sample(composed: DictConfig) -> None:
    """Write a grid of samples or completions as a PNG, and their levels beside it as .npy."""
    from pixelcnn_lit.config import SampleConfig, check

    config = check(composed, SampleConfig)

    from pathlib import Path

    import numpy as np
    import torch
    from rich import get_console

    from pixelcnn_lit import pictures
    from pixelcnn_lit.checkpoint import load_with_config
    from pixelcnn_lit.device import enough_memory, pick_device
    from pixelcnn_lit.errors import UserError
    from pixelcnn_lit.files import write_whole
    from pixelcnn_lit.occlusion import check_mask

    out = Path(config.out)
    if out.suffix.lower() != ".png":
        raise UserError(f"out={config.out}: must end in .png")
    if config.occlude is not None and config.mask is not None:
        raise UserError(f"mask={config.mask}: give either mask or occlude={config.occlude}, not both")
    completing = config.occlude is not None or config.mask is not None
    if completing and config.size is not None:
        raise UserError(f"size={list(config.size)}: completions have the size of their images")
    if config.mask is not None:
        check_mask(config.mask)
    console = get_console()
    density, trained = load_with_config(config.ckpt)
    density.to(pick_device(config.device), {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.precision])
    y = _classes(config, density, completing)
    with enough_memory(f"batch_size={config.batch_size}, n={config.n}"):
        if completing:
            original, known, x = _complete(config, density, trained, y)
            scale = config.scale or pictures.default_scale(x.shape[3])
            picture = pictures.completion_grid(original, known, x, density.levels, scale)
        else:
            x = _draw(config, density, y, None, None)
            scale = config.scale or pictures.default_scale(x.shape[3])
            rows = density.n_classes if config.label == "each" else None
            picture = pictures.sample_grid(x, density.levels, scale, rows)
    with write_whole(out.with_suffix(".npy")) as file:
        np.save(file, x.numpy())
    pictures.save_png(out, picture)
    console.print(f"{out} and the levels, {out.with_suffix('.npy')}", highlight=False, soft_wrap=True)


def _classes(config: SampleConfig, density: Density, completing: bool) -> Tensor | None:
    """The class of each image to draw; None where the model has none or picks them."""
    import torch

    from pixelcnn_lit import pictures
    from pixelcnn_lit.errors import UserError

    label, n_classes = config.label, density.n_classes
    if label is None:
        return None
    if n_classes is None:
        raise UserError(
            f"label={label}: no classes in this model; train one with model.n_classes='${{data.n_classes}}'"
        )
    if label == "each":
        if completing:
            raise UserError("label=each: completions have the class that label gives, or the one that the model picks")
        y = pictures.class_rows(n_classes, config.n)
        if y is None:
            raise UserError(f"n={config.n}: label=each needs at least one image for each of the {n_classes} classes")
        return y
    if label >= n_classes:
        raise UserError(f"label={label}: must be from 0 to {n_classes - 1}, or each")
    return torch.full((config.n,), label)


def _complete(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The first n images of the split, which of their pixels are known (H, W), and the completions."""
    from rich import get_console

    from pixelcnn_lit.data.datamodule import ImageDataModule
    from pixelcnn_lit.errors import UserError
    from pixelcnn_lit.occlusion import half_known, read_mask, unusable

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
    if (late := unusable(known)) > 0:
        get_console().print(
            f"note: {late} of {int(known.sum())} known pixels come after an unknown one in raster order (rows from the "
            "top, pixels from the left). They stay as they are, but cannot condition the unknown pixels before them.",
            style="yellow",
            highlight=False,
        )
    return original, known, _draw(config, density, y, original, known)


def _draw(
    config: SampleConfig, density: Density, y: Tensor | None, original: Tensor | None, known: Tensor | None
) -> Tensor:
    """Draw or complete in batches, with a progress bar. Image i is the same whatever the batches are."""
    import time

    import torch
    from rich import get_console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    batches = []
    n = config.n if y is None else len(y)
    start = time.perf_counter()
    with Progress(*columns, console=get_console(), transient=True) as bar:
        task = bar.add_task("drawing", total=n, state="")
        for first in range(0, n, config.batch_size):
            count = min(config.batch_size, n - first)

            def show(row: int, rows: int, first: int = first, count: int = count) -> None:
                done = first + count * row / rows
                bar.update(task, completed=done, state=f"{int(done)}/{n} images, row {row}/{rows}")

            classes = None if y is None else y[first : first + count]
            if original is None or known is None:
                x = density.sample(
                    count,
                    config.seed,
                    classes,
                    size=config.size,
                    temperature=config.temperature,
                    method=config.method,
                    first=first,
                    progress=show,
                )
            else:
                x = density.complete(
                    original[first : first + count],
                    known,
                    config.seed,
                    classes,
                    temperature=config.temperature,
                    method=config.method,
                    first=first,
                    progress=show,
                )
            batches.append(x.cpu())
    what = "samples" if original is None else "completions"
    get_console().print(f"{n:,} {what} in {time.perf_counter() - start:.2f} s", highlight=False)
    return torch.cat(batches)


if __name__ == "__main__":
    main()
