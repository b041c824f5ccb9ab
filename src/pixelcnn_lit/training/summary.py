"""The output of a training run: its first lines, metrics.json, two pictures, HParams and a final table."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pixelcnn_lit import pictures
from pixelcnn_lit.config import TrainConfig
from pixelcnn_lit.data.classes import legend
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.density import Density
from pixelcnn_lit.metrics import TEST, VAL
from pixelcnn_lit.storage.files import shown, write_whole
from pixelcnn_lit.training.loggers import TensorBoard

SAMPLES = 64
COMPLETIONS = 24


def quiet_lightning() -> None:
    """Silence Lightning's warnings about settings that are intended here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*The `srun` command is available.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*The number of training batches .* is smaller than the logging interval.*",
        ".*treespec, LeafSpec.*",
        ".*could not find the monitored key.*",
        ".*your dataloader is not resumable.*",  # it is resumable: pixelcnn_lit.training.resume.Position
        ".*Grad strides do not match bucket view strides.*",
        ".*It is recommended to use .*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def parameter_count(density: Density) -> int:
    """The number of parameters that training changes."""
    return sum(p.numel() for p in density.parameters())


def headline(config: TrainConfig, density: Density, data: ImageDataModule, run_dir: Path, precision: str) -> Text:
    """The first lines of a run: network, data, precision, classes and folder."""
    classes = f"classes: {legend(density.class_names)}\n" if density.class_names else ""
    counts = "/".join(f"{len(data.split(part)):,}" for part in ("train", "val", "test"))
    return Text.assemble(
        (config.name or config.model.name, "bold"),
        f": {config.model.name}, "
        f"{parameter_count(density):,} parameters, on "
        f"{config.data.name} ({data.source}, {counts} images) at {config.data.levels} levels, "
        f"in {precision}\n{classes}{shown(run_dir)}",
    )


def git_revision() -> str | None:
    """The git commit of this code, with "-dirty" if files were changed since; None if the code is not in a checkout."""
    here = Path(__file__)
    try:
        # Without this check, a package installed inside another repository would report the commit of that one.
        git("ls-files", "--error-unmatch", here.name, cwd=here.parent)
        return git("describe", "--always", "--dirty", "--abbrev=12", cwd=here.parent)
    except (OSError, subprocess.SubprocessError):
        return None


def git(*arguments: str, cwd: Path) -> str:
    """The output of a git command. Raise OSError if git is missing, subprocess.SubprocessError if the command fails."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Metrics:
    """The results of a finished run.

    ``test`` and ``val`` are bits per dimension of the best checkpoint; ``train_seconds`` counts training steps only.
    """

    test: float | None
    val: float | None
    dimensions: int
    data: str
    source: str
    levels: int
    model: str
    params: int
    epochs: int
    steps: int
    steps_after_validation: int | None
    """The steps that came after the last validation, None without one: best.ckpt cannot be of them."""
    limits: dict[str, int | float]
    """The Trainer's limits that left something out, such as limit_test_batches."""
    test_images: int
    val_images: int
    """The numbers of images that ``test`` and ``val`` are means over."""
    precision_gap: float | None
    """At the last validation, the bits per dimension that float32 is worse than the precision of training."""
    train_seconds: float
    precision: str
    images_per_second: float | None
    skipped_steps: int
    best_ckpt: str | None
    """Relative to the run's folder, which may be moved."""
    seed: int
    git: str | None

    @property
    def nats_per_image(self) -> float | None:
        """The test result in nats per image, or None without a test."""
        return None if self.test is None else self.test * self.dimensions * math.log(2)

    def as_json(self) -> dict[str, Any]:
        """The content of metrics.json. NaN and infinite values become null."""
        rest = {key: value for key, value in asdict(self).items() if key not in ("test", "val", "dimensions")}
        rest["train_seconds"] = round(self.train_seconds, 3)
        if self.images_per_second is not None:
            rest["images_per_second"] = round(self.images_per_second, 2)
        return valid({TEST: self.test, "test/nats_per_image": self.nats_per_image, VAL: self.val, **rest})


def write(
    folder: Path,
    config: TrainConfig,
    metrics: Metrics,
    density: Density,
    data: ImageDataModule,
    loggers: Sequence[Logger],
) -> None:
    """Write the pictures, the final scores of the loggers, and last metrics.json, which marks the run as finished.

    Args:
        folder: The folder of the run.
        config: The config of the run.
        metrics: The results.
        density: The density with the best weights.
        data: The data, of which the first test images are completed.
        loggers: The loggers of the run.
    """
    density.eval()
    scale = pictures.default_scale(config.data.image_shape[2])
    batch = data.split("test")[:COMPLETIONS]
    pictures.save_png(folder / "samples.png", pictures.draw_samples(density, SAMPLES, config.seed, scale, batch))
    pictures.save_png(folder / "completions.png", pictures.draw_completions(density, batch, config.seed, scale))
    for logger in loggers:
        if isinstance(logger, TensorBoard):
            logger.end({"hparams/test": metrics.test, "hparams/val": metrics.val})
    with write_whole(folder / "metrics.json") as file:
        file.write(json.dumps(metrics.as_json(), indent=2, allow_nan=False).encode() + b"\n")


def valid(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics that are valid JSON: NaN and infinite values become None."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in metrics.items()
    }


def hyperparameters(config: TrainConfig, data: ImageDataModule) -> dict[str, Any]:
    """The hyperparameters by which runs are compared, with dotted keys, and the actual source of the data."""
    chosen = config.model_dump(mode="json")
    flat = {
        f"{section}.{key}": value
        for section in ("data", "model", "likelihood", "optimizer")
        for key, value in chosen[section].items()
        if key not in ("image_shape", "betas", "dir", "path")
    }
    flat |= {
        "data.source": data.source,
        "seed": config.seed,
        "ema.decay": chosen["callbacks"]["ema"]["decay"] or 0.0,
    }
    return flat | {f"trainer.{key}": chosen["trainer"][key] for key in ("max_epochs", "max_steps", "precision")}


def table(metrics: Metrics, folder: Path) -> Table:
    """The table at the end of a run."""

    def number(value: float | None, form: str, unit: str = "") -> str:
        return "not measured" if value is None else format(value, form) + unit

    rows = Table(title="Finished", title_justify="left", show_header=False, title_style="bold green")
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    limits = ", ".join(f"{name}={limit:g}" for name, limit in metrics.limits.items())
    rows.add_row("test bits/dim", number(metrics.test, ".4f", f", of {metrics.test_images:,} images"))
    rows.add_row("test nats/image", number(metrics.nats_per_image, ".2f"))
    rows.add_row("validation bits/dim", number(metrics.val, ".4f", f", of {metrics.val_images:,} images"))
    if limits:
        rows.add_row("left out", f"by {limits}")
    rows.add_row("data", escape(f"{metrics.data} ({metrics.source}), {metrics.levels} levels"))
    rows.add_row("parameters", number(metrics.params, ",d"))
    rows.add_row("epochs", number(metrics.epochs, "d", f", {metrics.steps:,} steps"))
    if metrics.steps_after_validation:
        rows.add_row("after the last validation", f"{metrics.steps_after_validation:,} steps, which best.ckpt lacks")
    if metrics.precision_gap is not None:
        rows.add_row("float32 beside training", f"{metrics.precision_gap:+.5f} bits/dim")
    rows.add_row("seed", str(metrics.seed))
    rows.add_row("training", number(metrics.train_seconds, ",.0f", " s"))
    rows.add_row("images/s", number(metrics.images_per_second, ",.0f", f", in {metrics.precision}"))
    rows.add_row("folder", escape(shown(folder)))
    left = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("."))
    rows.add_row("in it", escape(", ".join(left)))
    return rows
