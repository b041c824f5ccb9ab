"""Lightning callbacks: progress bar, lines per epoch, throughput, finite gradients, and pictures in TensorBoard."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar

from pixelcnn_lit import messages, pictures
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.data.images import Batch
from pixelcnn_lit.device import WITHOUT_SKIPPING
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.scores import Score
from pixelcnn_lit.storage import checkpoint, run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.training.base import LitModel
from pixelcnn_lit.training.loggers import TensorBoard
from pixelcnn_lit.training.module import LitDensity
from pixelcnn_lit.training.resume import Position
from pixelcnn_lit.training.validations import last_epoch


class Throughput(pl.Callback):
    """Measures training images per second, without validation. Checkpoints store it, so a resumed run counts all.

    ``processor_seconds`` are those of all threads of this process, in the same steps as ``seconds``. They are None
    where the run resumed from a checkpoint that is older than they are.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.processor_seconds: float | None = 0.0
        self.images = 0
        self.last_epoch = 0.0
        self._mark, self._processor_mark = 0.0, 0.0
        self._epoch_seconds = 0.0
        self._epoch_images = 0

    @property
    def images_per_second(self) -> float | None:
        """The mean over the whole training; None before the first step."""
        return self.images / self.seconds if self.seconds else None

    def _start(self) -> None:
        self._mark, self._processor_mark = time.perf_counter(), time.process_time()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_seconds, self._epoch_images = 0.0, 0
        self._start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        before, processor_before = self._mark, self._processor_mark
        self._start()
        elapsed = self._mark - before
        count = len(batch[0]) * trainer.world_size
        self.seconds += elapsed
        if self.processor_seconds is not None:
            self.processor_seconds += self._processor_mark - processor_before
        self.images += count
        self._epoch_seconds += elapsed
        self._epoch_images += count
        self.last_epoch = self._epoch_images / self._epoch_seconds

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("images_per_second", self.last_epoch, rank_zero_only=True)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "processor_seconds": self.processor_seconds, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.images = state_dict["seconds"], state_dict["images"]
        self.processor_seconds = state_dict.get("processor_seconds")


def may_read(trainer: pl.Trainer, device: torch.device) -> bool:
    """Whether the host may read values in this step: always on a CPU, every ``log_every_n_steps`` steps on a GPU.

    To read a value, the host waits for the device; then the device is idle until the host has prepared the next step.
    """
    every = int(getattr(trainer, "log_every_n_steps", 0)) or 50
    return device.type == "cpu" or trainer.global_step % every == 0


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, with the score of training in the steps in which the host may read it.

    Lightning itself would read metrics logged with ``prog_bar=True`` in every step.
    """

    def __init__(self, score: Score) -> None:
        super().__init__()
        self._score = score
        self._train: dict[str, float] = {}

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        name = self._score.train
        if trainer.training and may_read(trainer, pl_module.device) and name in trainer.callback_metrics:
            self._train = {self._score.unit: float(trainer.callback_metrics[name])}
        others = super().get_metrics(trainer, pl_module)
        others.pop("v_num", None)  # of a logger: it says nothing of this training, and takes the room of a number
        return {**self._train, **others}


class FiniteSteps(pl.Callback):
    """Keeps steps with NaN or infinite gradients from changing the weights. A NaN loss has NaN gradients.

    The fused optimiser skips such a step on the device; where it does not, the host reads each step. ``policy`` "stop"
    ends the run with UserError when the host next reads values, and names the last good checkpoint; "skip" counts the
    step. In 16-mixed precision the loss scaler skips such steps, and tries again with a smaller scale: there they are
    counted, and "stop" ends the run only once gradients are not finite without any scale.
    """

    def __init__(self, policy: str, folder: Path) -> None:
        self._policy, self._folder = policy, folder
        self._skipped, self._first = torch.zeros((), dtype=torch.long), torch.zeros((), dtype=torch.long)
        self._reported = 0

    @property
    def skipped(self) -> int:
        """The number of skipped steps. Reading it waits for the device."""
        return int(self._skipped)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        wrong = torch.nn.utils.get_total_norm(gradients).isfinite().logical_not()
        if scaler_of(trainer) is None:
            # The fused optimiser skips the step if found_inf is 1; a loss scaler uses the same attribute.
            optimizer.found_inf = wrong.float()  # type: ignore[attr-defined]
        if wrong.device.type in WITHOUT_SKIPPING and wrong:
            pl_module.zero_grad(set_to_none=True)  # an optimiser leaves out what has no gradient
        first = self._first.to(wrong.device)
        self._first = torch.where(wrong & (first == 0), trainer.global_step + 1, first)
        self._skipped = self._skipped.to(wrong.device) + wrong
        if may_read(trainer, pl_module.device):
            self._report(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._report(trainer)

    def _report(self, trainer: pl.Trainer) -> None:
        if self.skipped == self._reported:
            return
        self._reported, step = self.skipped, int(self._first)
        self._first = torch.zeros_like(self._first)
        scaler = scaler_of(trainer)
        if self._policy == "stop" and (scaler is None or scaler.get_scale() <= 1):
            good = checkpoint.newest_good(self._folder)
            back = "none was saved yet" if good is None else f"ckpt={shown(good)}"
            raise UserError(
                f"step {step}: the loss or its gradients are NaN or infinite; the last good checkpoint: {back}. "
                f"Lower optimizer.lr or trainer.gradient_clip_val, {_suspected(trainer)}or leave out such steps: "
                "on_nan=skip"
            )
        messages.say(f"step {step}: left out, like {self._reported - 1} before: its gradients are NaN or infinite")
        for logger in trainer.loggers:
            logger.log_metrics({"skipped_steps": float(self._reported)}, step)

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._reported = int(state_dict["skipped"])
        self._skipped = torch.tensor(self._reported)


def scaler_of(trainer: pl.Trainer) -> Any:
    """The loss scaler of 16-mixed precision; None in others."""
    return getattr(trainer.precision_plugin, "scaler", None)


def _suspected(trainer: pl.Trainer) -> str:
    """The advice about precision where it may be at fault for NaN."""
    if trainer.precision == "32-true":
        return ""
    return f"train in float32 instead of {trainer.precision} (trainer.precision=32-true), "


class EpochLines(pl.Callback):
    """Prints one line per epoch, on the screen and in the log: the mean score, images per second, elapsed time."""

    def __init__(self, score: Score, throughput: Throughput, curve: ValidationCurve) -> None:
        self._score, self._throughput, self._curve = score, throughput, curve
        self._start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, LitModel)
        score = self._score
        # Lightning keeps the score of the last validation, which may be one of an earlier step.
        validated = trainer.callback_metrics.get(score.val) if self._curve.last == trainer.global_step else None
        named = (("train", pl_module.train_mean), ("val", validated))
        parts = [f"{name} {float(value):{score.form}}" for name, value in named if value is not None]
        last = last_epoch(trainer) or "?"
        elapsed = timedelta(seconds=round(time.perf_counter() - self._start))
        messages.say(
            f"epoch {trainer.current_epoch + 1:>3}/{last}  {'  '.join(parts)} {score.unit}  "
            f"{self._throughput.last_epoch:,.0f} images/s  {elapsed}"
        )


class ValidationCurve(pl.Callback):
    """Writes one line per validation to validation.csv: epochs, steps, the score and both seconds of training.

    It prints the score, too, where the validation does not come at the end of an epoch, whose line has it.

    A run that resumes from an earlier step repeats some lines. Only the seconds of the repeated lines differ.
    """

    def __init__(self, score: Score, folder: Path, throughput: Throughput, position: Position) -> None:
        self._score, self._path, self._throughput = score, folder / run_folder.CURVE, throughput
        self._position = position
        self.last: int | None = None
        """The number of steps before the last validation, None if there was none."""

    def state_dict(self) -> dict[str, Any]:
        return {"last": self.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.last = state_dict["last"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(self._score.val)
        if trainer.sanity_checking or trainer.state.fn != "fit" or value is None:
            return
        self.last = trainer.global_step
        if trainer.is_global_zero:
            self.add(trainer, float(value), tell=self._position.batch < trainer.num_training_batches)

    def add(self, trainer: pl.Trainer, value: float, *, tell: bool) -> None:
        """Write the line of a validation now, and ``tell`` its score."""
        if tell:
            messages.say(f"step {trainer.global_step:,}: val {value:{self._score.form}} {self._score.unit}")
        told = self._path, self._score, self._position.epochs(trainer), trainer.global_step, value
        add_validation(*told, self._throughput.seconds, self._throughput.processor_seconds)


def add_validation(
    path: Path, score: Score, epochs: float, steps: int, value: float, seconds: float, processor_seconds: float | None
) -> None:
    """Write a line to a validation.csv, and before the first one the names of the columns.

    A file that an older version began keeps its columns.
    """
    row = {
        "epochs": f"{epochs:.4g}",
        "steps": str(steps),
        score.name: f"{value:.6f}",
        "seconds": f"{seconds:.1f}",
        "processor_seconds": "" if processor_seconds is None else f"{processor_seconds:.1f}",
    }
    with path.open("a+") as file:
        file.seek(0)
        columns = file.readline().strip().split(",")
        if not row.keys() >= set(columns):  # the file is new, or begins with what a killed run did not finish
            columns = list(row)
            file.write(",".join(columns) + "\n")
        file.write(",".join(row[column] for column in columns) + "\n")


def board_for_pictures(trainer: pl.Trainer, every_n_epochs: int) -> TensorBoard | None:
    """The TensorBoard that pictures are due for at the end of this validation; None if there is none, or none are due.

    They are due every ``every_n_epochs`` epochs; 0: never.
    """
    boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoard)]
    if trainer.sanity_checking or not trainer.is_global_zero or not boards or every_n_epochs == 0:
        return None
    return None if (trainer.current_epoch + 1) % every_n_epochs else boards[0]


class Pictures(pl.Callback):
    """Writes grids of samples, of completions of validation images, and of the bits of their pixels, to TensorBoard.

    They are drawn at the end of a validation, so with the averaged weights if there is averaging.
    """

    def __init__(self, every_n_epochs: int, n: int, seed: int, data: ImageDataModule) -> None:
        self._every, self._n, self._seed, self._data = every_n_epochs, n, seed, data

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        board = board_for_pictures(trainer, self._every)
        if board is None:
            return
        assert isinstance(pl_module, LitDensity)
        density = pl_module.density
        scale = max(1, pictures.default_scale(density.image_shape[2]) // 2)
        batch = self._data.split("val")[: self._n]
        for name, picture in (
            ("samples", pictures.draw_samples(density, self._n, self._seed, scale, batch)),
            ("completions", pictures.draw_completions(density, batch, self._seed, scale)),
            ("bits", pictures.draw_bits(density, batch, scale)),
        ):
            board.add_picture(name, picture, trainer.global_step)
