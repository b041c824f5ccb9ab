"""The output of a training run: its first lines, metrics.json, HParams and a final table."""

from __future__ import annotations

import json
import logging
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from pytorch_lightning.loggers import Logger
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from torch import nn

from pixelcnn_lit.config import RunConfig
from pixelcnn_lit.config.changes import flat
from pixelcnn_lit.data.classes import legend
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.scores import BITS, ERROR, Score
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown, write_whole
from pixelcnn_lit.training.base import LitModel
from pixelcnn_lit.training.loggers import TensorBoard
from pixelcnn_lit.training.parts import differences


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
        ".*Be aware that when using `ckpt_path`.*",  # a run may go on with other callbacks, such as without validation
        ".*your dataloader is not resumable.*",  # it is resumable: pixelcnn_lit.training.resume.Position
        ".*Grad strides do not match bucket view strides.*",
        ".*It is recommended to use .*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def parameter_count(model: nn.Module) -> int:
    """The number of parameters that training changes."""
    return sum(p.numel() for p in model.parameters())


def headline(config: RunConfig, module: LitModel, data: ImageDataModule, run_dir: Path, precision: str) -> Text:
    """The first lines of a run: network, data, precision, classes and folder."""
    classes = f"classes: {legend(module.class_names)}\n" if module.class_names else ""
    counts = "/".join(f"{len(data.split(part)):,}" for part in ("train", "val", "test"))
    return Text.assemble(
        (config.name or run_dir.name, "bold"),
        f": {config.what}, "
        f"{parameter_count(module.model):,} parameters, on "
        f"{config.data.name} ({data.source}, {counts} images) at {config.data.levels} levels, "
        f"in {precision}\n{classes}{shown(run_dir)}",
    )


@dataclass(frozen=True, kw_only=True)
class Metrics(ABC):
    """The results of a finished run, of its best checkpoint, and what made them.

    Both seconds are those of the training steps alone, without validations; a run that resumed has them all.
    """

    score: ClassVar[Score]
    """The score by which checkpoints are compared."""

    test: float | None
    val: float | None
    """The scores of test and validation, by which checkpoints are compared."""
    data: str
    source: str
    levels: int
    binarize: str | None
    params: int
    epochs: float
    """How many times the training went through its images: 0.01 after a hundredth of them."""
    steps: int
    limits: dict[str, int | float]
    """The Trainer's limits that left something out, such as limit_test_batches."""
    test_images: int
    val_images: int
    """The numbers of images that the scores are means over."""
    train_seconds: float
    """By the clock."""
    processor_seconds: float | None
    """Of all threads of the first process. None where a checkpoint that the run resumed from does not know them."""
    precision: str | None
    images_per_second: float | None
    skipped_steps: int
    best_ckpt: str | None
    """Relative to the run's folder, which may be moved."""
    seed: int
    command: str | None
    """What a shell was told; None for a run that Python code started."""
    date: str
    """When the run ended, in ISO 8601, UTC."""
    machine: str | None
    """The name of the GPU, or of the processor. As what else says how steps were made, None where nobody knows it."""
    threads: int | None
    torch: str | None
    version: str | None
    """Of this package."""
    git: str | None
    parts: list[dict[str, Any]] = field(default_factory=list)
    """Of a run that went on by another command, with other code or elsewhere: what made each part, and from which step
    on. What stands above is then of the last part. Else empty."""

    @abstractmethod
    def scores(self) -> dict[str, float | None]:
        """The scores of the test and of the validation, by their names in metrics.json."""

    @abstractmethod
    def rows(self) -> Iterator[tuple[str, str]]:
        """The first rows of the table at the end of a run: those of the scores."""

    def as_json(self) -> dict[str, Any]:
        """The content of metrics.json. NaN and infinite values become null."""
        own = {each.name for each in fields(self)} - {each.name for each in fields(Metrics)}
        rest = {key: value for key, value in asdict(self).items() if key not in {*own, "test", "val"}}
        rest["epochs"] = float(f"{self.epochs:.6g}")
        rest["train_seconds"] = round(self.train_seconds, 3)
        if self.processor_seconds is not None:
            rest["processor_seconds"] = round(self.processor_seconds, 3)
        if self.images_per_second is not None:
            rest["images_per_second"] = round(self.images_per_second, 2)
        if not self.parts:
            del rest["parts"]
        return valid({**self.scores(), **self.more(), **rest})

    def more(self) -> dict[str, Any]:
        """What else of a run of this kind is in metrics.json."""
        return {}


@dataclass(frozen=True, kw_only=True)
class DensityMetrics(Metrics):
    """Those of a density: ``test`` and ``val`` are bits per dimension."""

    score = BITS

    dimensions: int
    model: str
    context: str
    """What the images are given: the name of the option of ``context=``."""
    classes: int
    """Each image is given its class, one of so many: the scores are those of p(image | class). 0: it is given none."""
    precision_gap: float | None
    """At the last validation, the bits per dimension that float32 is worse than the precision of training."""

    @property
    def nats_per_image(self) -> float | None:
        """The test result in nats per image, or None without a test."""
        return None if self.test is None else self.test * self.dimensions * math.log(2)

    def scores(self) -> dict[str, float | None]:
        return {BITS.test: self.test, "test/nats_per_image": self.nats_per_image, BITS.val: self.val}

    def more(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("model", "context", "classes", "precision_gap")}

    def rows(self) -> Iterator[tuple[str, str]]:
        given = ", given the class" if self.classes else ""
        given += "" if self.context == "none" else f", given context={self.context}"
        of_codes = self.data == "codes"
        unit, images = ("bits a code", "maps of codes") if of_codes else (BITS.unit, "images")
        yield f"test {unit}", number(self.test, ".4f", f"{given}, of {self.test_images:,} {images}")
        yield f"test nats/{'map' if of_codes else 'image'}", number(self.nats_per_image, ".2f", given)
        yield f"validation {unit}", number(self.val, ".4f", f"{given}, of {self.val_images:,} {images}")
        if self.precision_gap is not None:
            yield "precision gap", f"{self.precision_gap:+.5f} {unit}, by which float32 is worse than training"


@dataclass(frozen=True, kw_only=True)
class AutoencoderMetrics(Metrics):
    """Those of an autoencoder: ``test`` and ``val`` are squared errors per dimension, of images in [0, 1]."""

    score = ERROR

    psnr: float | None
    """Of the test split, in dB."""
    n_codes: int
    perplexity: dict[str, float | None]
    alive: dict[str, float | None]
    """Of the test split: the perplexity of each codebook, and the share of its codes that are used."""

    def scores(self) -> dict[str, float | None]:
        return {ERROR.test: self.test, "test/psnr": self.psnr, ERROR.val: self.val}

    def more(self) -> dict[str, Any]:
        return {"n_codes": self.n_codes, "perplexity": self.perplexity, "alive": self.alive}

    def rows(self) -> Iterator[tuple[str, str]]:
        yield "test squared error", number(self.test, ERROR.form, f", of {self.test_images:,} images in [0, 1]")
        yield "test PSNR", number(self.psnr, ".2f", " dB")
        yield "validation squared error", number(self.val, ERROR.form, f", of {self.val_images:,} images")
        for name, perplexity in self.perplexity.items():
            used = number(self.alive[name], ".0%", f" of {self.n_codes} used, perplexity ")
            yield f"codes, {name}", used + number(perplexity, ".1f")


def write(folder: Path, metrics: Metrics, loggers: Sequence[Logger]) -> None:
    """Write the final scores of the loggers, and last metrics.json, which marks the run as finished."""
    for logger in loggers:
        if isinstance(logger, TensorBoard):
            logger.end(metrics.score, metrics.val, metrics.steps)
    with write_whole(folder / "metrics.json") as file:
        file.write(json.dumps(metrics.as_json(), indent=2, allow_nan=False).encode() + b"\n")


def valid(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics that are valid JSON: NaN and infinite values become None."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in metrics.items()
    }


def hyperparameters(config: RunConfig, data: ImageDataModule) -> dict[str, Any]:
    """The hyperparameters by which runs are compared, with dotted keys, and the actual source of the data."""
    chosen = config.model_dump(mode="json")
    found = {
        f"{section}.{key}": value
        for section in ("data", "model", "likelihood", "autoencoder", "optimizer")
        for key, value in chosen.get(section, {}).items()
        if key not in ("image_shape", "betas", "dir", "path")
    }
    found |= {
        "data.source": data.source,
        "seed": config.seed,
        "ema.decay": chosen["callbacks"]["ema"]["decay"] or 0.0,
    }
    return found | {f"trainer.{key}": chosen["trainer"][key] for key in ("max_epochs", "max_steps", "precision")}


def swept_values(folder: Path, config: RunConfig) -> dict[str, Any]:
    """The values of the keys that the sweep of this run's folder varies; none for a run that is no job of a sweep."""
    chosen = flat(config.model_dump(mode="json"))
    told = run_folder.swept(folder)
    return {key: chosen.get(key, chosen.get(f"{key}.name", value)) for key, value in told.items()}


def number(value: float | None, form: str, unit: str = "") -> str:
    """A number in words: of a format, with its unit."""
    return "not measured" if value is None else format(value, form) + unit


def table(metrics: Metrics, folder: Path) -> Table:
    """The table at the end of a run."""
    rows = Table(title="Finished", title_justify="left", show_header=False, title_style="bold green")
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    limits = ", ".join(f"{name}={limit:g}" for name, limit in metrics.limits.items())
    for name, value in metrics.rows():
        rows.add_row(name, value)
    if limits:
        rows.add_row("left out", f"by {limits}")
    rows.add_row("data", escape(f"{metrics.data} ({metrics.source}), {metrics.levels} levels"))
    rows.add_row("parameters", number(metrics.params, ",d"))
    rows.add_row("epochs", number(metrics.epochs, ".4g", f", {metrics.steps:,} steps"))
    for step, new in differences(metrics.parts):
        rows.add_row(f"from step {step:,}", escape(new))
    rows.add_row("seed", str(metrics.seed))
    processor = number(metrics.processor_seconds, ",.1f", " processor seconds")
    rows.add_row("training", number(metrics.train_seconds, ",.1f", f" s, {processor}"))
    precisions = dict.fromkeys(part["precision"] for part in metrics.parts) or [metrics.precision]
    precision = " and ".join(each or "a precision that is not known" for each in precisions)
    rows.add_row("images/s", number(metrics.images_per_second, ",.0f", f", in {precision}"))
    rows.add_row("folder", escape(shown(folder)))
    left = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("."))
    rows.add_row("in it", escape(", ".join(left)))
    return rows
