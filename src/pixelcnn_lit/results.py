"""What a training run says and leaves behind: a headline, metrics.json, two pictures, HParams and a table."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import warnings
from pathlib import Path
from typing import Any

from rich.table import Table

from pixelcnn_lit import pictures
from pixelcnn_lit.config import TrainConfig
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.density import Density
from pixelcnn_lit.files import shown, write_whole
from pixelcnn_lit.logger import TensorBoard

SAMPLES = 64
COMPLETIONS = 24


def quiet_lightning() -> None:
    """Silence what Lightning says of settings that are meant here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*The `srun` command is available.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*The number of training batches .* is smaller than the logging interval.*",
        ".*treespec, LeafSpec.*",
        ".*could not find the monitored key.*",
        ".*your dataloader is not resumable.*",  # it is: pixelcnn_lit.resume.Position
        ".*Grad strides do not match bucket view strides.*",
        ".*It is recommended to use .*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def parameter_count(density: Density) -> int:
    """How many numbers training can change."""
    return sum(p.numel() for p in density.parameters())


def headline(config: TrainConfig, density: Density, data: ImageDataModule, run_dir: Path, precision: str) -> str:
    """What is about to be trained, on what, and where it will be."""
    counts = "/".join(f"{len(data.split(part)):,}" for part in ("train", "val", "test"))
    return (
        f"[bold]{config.name or config.model.name}[/bold]: {config.model.name}, "
        f"{parameter_count(density):,} parameters, on "
        f"{config.data.name} ({data.source}, {counts} images) at {config.data.levels} levels, "
        f"in {precision}\n{shown(run_dir)}"
    )


def git_revision() -> str | None:
    """The commit of the code that runs, "-dirty" if it was changed since; None where the code is in no checkout."""
    here = Path(__file__)
    try:
        # A package installed below somebody's repository is not of that repository.
        git("ls-files", "--error-unmatch", here.name, cwd=here.parent)
        return git("describe", "--always", "--dirty", "--abbrev=12", cwd=here.parent)
    except (OSError, subprocess.SubprocessError):
        return None


def git(*arguments: str, cwd: Path) -> str:
    """The output of a git command. Raise OSError without git, subprocess.SubprocessError if it fails."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def metrics(
    config: TrainConfig,
    density: Density,
    data: ImageDataModule,
    *,
    test: float | None,
    val: float | None,
    epochs: int,
    seconds: float,
    precision: str,
    images_per_second: float | None,
    skipped: int,
    best: str | None,
) -> dict[str, Any]:
    """The content of metrics.json. Bits are per dimension, nats per image, seconds those of the training steps."""
    dimensions = math.prod(config.data.image_shape)
    return {
        "test/bits_per_dim": test,
        "test/nats_per_image": None if test is None else test * dimensions * math.log(2),
        "val/bits_per_dim": val,
        "data": config.data.name,
        "source": data.source,
        "levels": config.data.levels,
        "model": config.model.name,
        "params": parameter_count(density),
        "epochs": epochs,
        "train_seconds": round(seconds, 3),
        "precision": precision,
        "images_per_second": None if images_per_second is None else round(images_per_second, 2),
        "skipped_steps": skipped,
        "best_ckpt": best,  # from the run's folder, which may move
        "seed": config.seed,
        "git": git_revision(),
    }


def write(
    run_dir: Path,
    config: TrainConfig,
    metrics: dict[str, Any],
    density: Density,
    data: ImageDataModule,
    logger: Any,
) -> None:
    """Write the pictures, then the HParams, and metrics.json last: where that is, the run is finished."""
    density.eval()
    scale = pictures.default_scale(config.data.image_shape[2])
    original = data.split("test").images[:COMPLETIONS]
    pictures.save_png(run_dir / "samples.png", pictures.draw_samples(density, SAMPLES, config.seed, scale))
    pictures.save_png(run_dir / "completions.png", pictures.draw_completions(density, original, config.seed, scale))
    if isinstance(logger, TensorBoard):
        logger.end({f"hparams/{key}": metrics[f"{key}/bits_per_dim"] for key in ("test", "val")})
    with write_whole(run_dir / "metrics.json") as file:
        file.write(json.dumps(valid(metrics), indent=2, allow_nan=False).encode() + b"\n")


def valid(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics as JSON can hold them: null for what came out NaN or infinite."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in metrics.items()
    }


def hyperparameters(config: TrainConfig, data: ImageDataModule) -> dict[str, Any]:
    """The choices by which runs are compared, flat: model.n_res and the like, and the data's true source."""
    chosen = config.model_dump(mode="json")
    flat = {
        f"{section}.{key}": value
        for section in ("data", "model", "likelihood", "optimizer")
        for key, value in chosen[section].items()
        if key not in ("image_shape", "betas", "dir", "path") and (section, key) != ("model", "levels")
    }
    flat |= {
        "data.source": data.source,
        "seed": config.seed,
        "ema.decay": chosen["callbacks"]["ema"]["decay"] or 0.0,
    }
    return flat | {f"trainer.{key}": chosen["trainer"][key] for key in ("max_epochs", "max_steps", "precision")}


def table(metrics: dict[str, Any], run_dir: Path) -> Table:
    """The short table that a run ends with."""

    def number(key: str, form: str, unit: str = "") -> str:
        return "not measured" if metrics[key] is None else format(metrics[key], form) + unit

    rows = Table(title="Finished", title_justify="left", show_header=False, title_style="bold green")
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    rows.add_row("test bits/dim", number("test/bits_per_dim", ".4f"))
    rows.add_row("test nats/image", number("test/nats_per_image", ".2f"))
    rows.add_row("validation bits/dim", number("val/bits_per_dim", ".4f"))
    rows.add_row("data", f"{metrics['data']} ({metrics['source']}), {metrics['levels']} levels")
    rows.add_row("parameters", number("params", ",d"))
    rows.add_row("epochs", number("epochs", "d"))
    rows.add_row("training", number("train_seconds", ",.0f", " s"))
    rows.add_row("images/s", number("images_per_second", ",.0f", f", in {metrics['precision']}"))
    rows.add_row("folder", shown(run_dir))
    left = sorted(path.name + "/" * path.is_dir() for path in run_dir.iterdir() if not path.name.startswith("."))
    rows.add_row("in it", ", ".join(left))
    return rows
