"""The command ``vqvae``: trains an autoencoder and the priors of its codes, each a run of its own, in turns."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from rich import get_console
from rich.table import Table

from pixelcnn_lit import messages, pictures
from pixelcnn_lit.config import TrainConfig, VqvaeConfig, compose
from pixelcnn_lit.config.codes import STAGE, digest
from pixelcnn_lit.config.places import best_of
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import Interrupted, UserError
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import checkpoint, run_folder
from pixelcnn_lit.storage.files import shown, write_whole
from pixelcnn_lit.storage.stages import load_vqvae
from pixelcnn_lit.training.autoencoding import AutoencoderRun
from pixelcnn_lit.training.command import in_folder
from pixelcnn_lit.training.run import Run

SAMPLES = 64
RECONSTRUCTIONS = "reconstructions.png"
BATCH = 256


def vqvae(config: VqvaeConfig) -> None:
    """Train all stages that are not finished, then draw images, and show a table.

    Raises UserError before any training if a stage cannot be composed.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    priors(config, folder, None)
    with _interruptible(config, folder):
        results = {STAGE: _stage(STAGE, AutoencoderRun, config.first, folder, (list(hydra.overrides.task), hydra))}
        trained = digest(best_of(folder / STAGE))
        for level, (told, prior) in priors(config, folder, trained).items():
            results[level] = _stage(level, Run, prior, folder, (told, hydra))
        if run_folder.rank() == 0:
            conclude(config, folder, results)


@contextmanager
def _interruptible(config: VqvaeConfig, folder: Path) -> Iterator[None]:
    """A signal in any stage says how the command goes on, and not the stage alone."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Interrupted) else None
        named, where = config.name is not None, f"hydra.run.dir={shown(folder)}"
        same = run_folder.same_command(overwrite=config.overwrite, named=named, where=where)
        raise Interrupted(f"{same} goes on", number) from None


def priors(config: VqvaeConfig, folder: Path, trained: str | None) -> dict[str, tuple[list[str], TrainConfig]]:
    """The overrides of each prior's run, and the config that they make. Raise UserError for overrides that are wrong.

    ``trained`` is the digest of the autoencoder's checkpoint, None before there is one.
    """
    try:
        told = config.told(shown(folder), trained)
    except ValueError as error:
        raise UserError(f"priors: {error}") from error
    found = {}
    for level, overrides in told.items():
        try:
            found[level] = overrides, compose(overrides)
        except UserError as error:
            raise UserError(f"priors.{level}: {error}") from error
    return found


def _stage(name: str, kind: Any, config: Any, folder: Path, told: Any) -> dict[str, Any]:
    messages.say(f"stage {name}")
    return in_folder(kind, config, folder / name, told) or {}


def conclude(config: VqvaeConfig, folder: Path, results: dict[str, dict[str, Any]]) -> None:
    """Write two pictures and summary.json of the whole, and show a table."""
    shutil.copyfile(folder / STAGE / RECONSTRUCTIONS, folder / RECONSTRUCTIONS)
    first, runs = results[STAGE], {level: result for level, result in results.items() if level != STAGE}
    found: dict[str, Any] = {"test/psnr": first.get("test/psnr"), "perplexity": first.get("perplexity")}
    found["bits_per_code"] = {level: bits(folder / level, result) for level, result in runs.items()}
    if len(runs) == len(config.autoencoder.downsampling):
        start = time.perf_counter()
        vq = load_vqvae(folder)
        x = vq.sample(SAMPLES, config.seed)
        found["sample_seconds"] = round(time.perf_counter() - start, 2)
        scale = pictures.default_scale(x.shape[3])
        pictures.save_png(folder / "samples.png", pictures.sample_grid(x, vq.levels, scale))
    with write_whole(folder / "summary.json") as file:
        file.write(json.dumps(found, indent=2).encode() + b"\n")
    get_console().print(table(found, folder))


def bits(folder: Path, result: dict[str, Any]) -> dict[str, float | None]:
    """Bits a code of a prior, of all three splits: a prior that overfits is better on the training images."""
    density, trained = checkpoint.load_with_config(folder)
    data = ImageDataModule(trained.data, trained.seed, context=trained.context)
    return {"train": of_split(density, data, "train"), "val": result.get(BITS.val), "test": result.get(BITS.test)}


@torch.inference_mode()
def of_split(density: Density, data: ImageDataModule, part: str) -> float:
    """Bits per dimension of the first images of a split, as many as the test split has."""
    images, count = data.split(part), len(data.split("test"))
    total = torch.zeros((), dtype=torch.float64)
    for first in range(0, min(count, len(images)), BATCH):
        x, y, *context = images[first : min(first + BATCH, count)]
        total += density.bits_per_dim(x, y if density.n_classes else None, *context).double().sum()
    return float(total) / min(count, len(images))


def table(found: dict[str, Any], folder: Path) -> Table:
    """The table at the end of the command."""

    def number(value: float | None, form: str) -> str:
        return "not measured" if value is None else format(value, form)

    rows = Table(title="All stages", title_justify="left", show_header=False, title_style="bold green")
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    rows.add_row("test PSNR", f"{number(found['test/psnr'], '.2f')} dB")
    for level, splits in found["bits_per_code"].items():
        told = ", ".join(f"{part} {number(value, '.3f')}" for part, value in splits.items())
        perplexity = number((found["perplexity"] or {}).get(level), ".1f")
        rows.add_row(f"codes, {level}", f"bits a code: {told}; perplexity {perplexity}")
    if "sample_seconds" in found:
        rows.add_row(f"{SAMPLES} samples", f"in {found['sample_seconds']} s, loading included")
    rows.add_row("folder", shown(folder))
    return rows
