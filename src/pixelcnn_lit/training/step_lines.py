"""Progress where there is no terminal: a line of a long epoch, validation or test at least every ten seconds."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer
from rich import get_console

from pixelcnn_lit.data.images import Batch
from pixelcnn_lit.progress import EVERY
from pixelcnn_lit.scores import Score
from pixelcnn_lit.training.callbacks import Throughput, may_read


class StepLines(pl.Callback):
    """Prints the step, the score of training, images per second and the time that is left, every ten seconds.

    In a validation or a test, it prints how many batches of it are done. Not in the log, in which the lines of epochs
    are enough.
    """

    def __init__(self, score: Score, throughput: Throughput) -> None:
        self._score, self._throughput = score, throughput
        self._told = 0.0
        self._start, self._first, self._evaluated_since = 0.0, 0, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = self._told = time.perf_counter()
        self._first = trainer.global_step

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._told = time.perf_counter()  # an epoch has a line of its own

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if now - self._told < EVERY or not trainer.is_global_zero or not may_read(trainer, pl_module.device):
            return
        self._told, name = now, self._score.train
        parts = [f"step {trainer.global_step:,}"]
        if (last := last_step(trainer)) is not None:
            parts[0] += f"/{last:,}"
        if name in trainer.callback_metrics:
            parts.append(f"train {float(trainer.callback_metrics[name]):{self._score.form}} {self._score.unit}")
        parts.append(f"{self._throughput.last_epoch:,.0f} images/s")
        if (left := self._left(trainer, last, now)) is not None:
            parts.append(f"{timedelta(seconds=round(left))} left")
        get_console().print("  ".join(parts), highlight=False, soft_wrap=True)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._told = self._evaluated_since = time.perf_counter()

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        now = time.perf_counter()
        if now - self._told < EVERY or not trainer.is_global_zero:
            return
        testing = trainer.testing
        what, totals = ("test", trainer.num_test_batches) if testing else ("validation", trainer.num_val_batches)
        self._told, done, total = now, batch_idx + 1, int(sum(totals))
        left = timedelta(seconds=round((now - self._evaluated_since) / done * (total - done)))
        get_console().print(f"{what} batch {done:,}/{total:,}  {left} left", highlight=False, soft_wrap=True)

    on_test_batch_end = on_validation_batch_end

    def _left(self, trainer: pl.Trainer, last: int | None, now: float) -> float | None:
        """The seconds until ``max_time``, or until the last step at the pace so far; None if neither is known."""
        if (timer := timer_of(trainer)) is not None:
            return timer.time_remaining()
        done = trainer.global_step - self._first
        return None if last is None or not done else (now - self._start) / done * (last - trainer.global_step)


def timer_of(trainer: pl.Trainer) -> Timer | None:
    """What ends the training by ``trainer.max_time``."""
    return next((each for each in trainer.callbacks if isinstance(each, Timer)), None)  # type: ignore[attr-defined]


def last_step(trainer: pl.Trainer) -> int | None:
    """The number of steps of the whole training; None where it ends by time or never."""
    steps = trainer.estimated_stepping_batches
    return None if timer_of(trainer) is not None or not 0 < steps < float("inf") else int(steps)
