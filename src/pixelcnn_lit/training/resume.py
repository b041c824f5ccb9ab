"""Checkpoints and exact resuming: on the CPU in float32, a resumed run gives the same bits as an uninterrupted one.

A checkpoint contains what Lightning saves (weights, optimiser, schedule, averages, progress, early stopping).
:class:`Position` adds the position inside the epoch and torch's random state. The order of the images is a function of
the seed and the epoch, so the number of finished batches determines the next batch.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from torch import Tensor

from pixelcnn_lit.config.places import BEST, LAST
from pixelcnn_lit.data.images import Batch, BatchIndices
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import checkpoint as checkpoints
from pixelcnn_lit.storage.files import copy_whole
from pixelcnn_lit.training import lightning

IMAGES = "images"
"""The key, in the states of callbacks, of a digest of the images that their scores are means over."""
FRESH_SECONDS = 10.0
"""A last.ckpt that is not older than this is not written again before a validation."""


class WholeCheckpoints(CheckpointIO):
    """Lets Lightning read and write checkpoints with this package's functions: atomic, with a checksum, and safe."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        checkpoints.write(path, checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoints.read(path)[1]

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


class Stop(Exception):  # noqa: N818
    """Ends a training after a signal, once its state is on the disk."""


class StopSignals:
    """Handles SIGTERM and Ctrl-C. While ``patient``, a signal is stored until the run has saved its state.

    Otherwise, and at a second Ctrl-C, the run ends at once.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.patient = False

    @contextmanager
    def caught(self) -> Iterator[StopSignals]:
        """Catch the signals inside the block. Only the main thread can catch signals; others do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.listen()
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Install the handler of both signals."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again = self.received is not None
        self.received = signal.Signals(number)
        if not self.patient or (again and number == signal.SIGINT):
            raise KeyboardInterrupt


class Position(pl.Callback):
    """Saves the position in the epoch, and the state of torch's random generators in each process, in checkpoints.

    Training does not use the global generators of Python and NumPy, so they are not saved.
    """

    def __init__(self) -> None:
        self.started = False
        self._epoch, self.batch = 0, 0
        """The epoch, and how many of its batches are done."""
        self._epochs: float | None = 0.0
        self._generators: list[dict[str, Tensor]] = []
        self._max_steps = -1

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._max_steps = trainer.max_steps
        lightning.set_max_steps(trainer, -1)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        lightning.set_max_steps(trainer, self._max_steps)  # a resumed run with no step left has not started

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = True
        lightning.set_max_steps(trainer, self._max_steps)
        assert trainer.train_dataloader is not None
        sampler = trainer.train_dataloader.sampler
        assert isinstance(sampler, BatchIndices)
        sampler.start_at(self._epoch, self.batch)
        if self._generators:
            states = self._generators[trainer.global_rank % len(self._generators)]
            torch.set_rng_state(states["cpu"])
            if "cuda" in states and pl_module.device.type == "cuda":
                torch.cuda.set_rng_state(states["cuda"], pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._epochs = self.epochs(trainer) + 1 / int(trainer.num_training_batches)
        self._epoch, self.batch = trainer.current_epoch, batch_idx + 1

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.batch < int(trainer.num_training_batches):
            lightning.leave_epoch_open(checkpoint)

    def epochs(self, trainer: pl.Trainer) -> float:
        """How many times the training went through its images so far; 0.25 after a quarter of the first time."""
        if self._epochs is None:  # of a checkpoint that is older than this number
            self._epochs = self._epoch + self.batch / int(trainer.num_training_batches)
        return round(self._epochs, 9)

    def state_dict(self) -> dict[str, Any]:
        states = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state()
        every = [states]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            every = [{} for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(every, states)
        return {"epoch": self._epoch, "batch": self.batch, "epochs": self._epochs, "generators": every}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._epoch, self.batch = int(state_dict["epoch"]), int(state_dict["batch"])
        self._epochs = state_dict.get("epochs")
        self._generators = state_dict["generators"]


class Judging(pl.Callback):
    """What :class:`BestCheckpoint` and :class:`Patience` add to the callback of Lightning that follows in their bases.

    Its state keeps the name that it has in Lightning, and holds a digest of the ``images`` of a validation. Scores of
    others are no rivals of this run's scores.
    """

    def __init__(self, images: Callable[[], str], **options: Any) -> None:
        super().__init__(**options)
        self._images = images

    @property
    def state_key(self) -> str:
        return super().state_key.replace(type(self).__qualname__, type(self).__bases__[1].__qualname__)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), IMAGES: self._images()}

    def is_of_others(self, state: dict[str, Any]) -> bool:
        """Whether the scores in a state are of other images; an older state does not say of which they are."""
        return state.get(IMAGES) not in (None, self._images())


class BestCheckpoint(Judging, ModelCheckpoint):
    """Writes best.ckpt: the state at the best validation so far, or after the last epoch if there is no validation."""

    def __init__(self, folder: Path, monitor: str | None, ckpt: Path | None, images: Callable[[], str]) -> None:
        """``ckpt`` is the checkpoint from which the run resumes; the old best.ckpt is in the same folder."""
        super().__init__(images, dirpath=folder, filename="best", monitor=monitor, enable_version_counter=False)
        self._path = Path(self.format_checkpoint_name({}))
        self._before = self._path if ckpt is None else ckpt.with_name(BEST)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score and its file. Paths in the state are ignored, because a file must not choose paths."""
        if not state_dict["best_model_path"]:
            return
        if self.is_of_others(state_dict):
            logging.getLogger(__name__).warning(
                "warning: the best validation so far is forgotten: it is of other images"
            )
            return
        try:
            checkpoints.read(self._before)
        except UserError as error:
            logging.getLogger(__name__).warning("warning: %s; the best of the epochs before is forgotten", error)
            return
        if lightning.is_first_process() and self._before.resolve() != self._path.resolve():
            copy_whole(self._before, self._path)
        self.best_model_path = str(self._path)
        score = state_dict["best_model_score"]
        if self.monitor is not None and isinstance(score, Tensor):
            self.best_model_score = self.current_score = self.kth_value = score
            self.kth_best_model_path = self.best_model_path
            self.best_k_models = {self.best_model_path: score}


class Patience(Judging, EarlyStopping):
    """Ends the training after validations that were no better."""

    def __init__(self, monitor: str, min_delta: float, patience: int, images: Callable[[], str]) -> None:
        options: dict[str, Any] = {"monitor": monitor, "min_delta": min_delta, "patience": patience, "mode": "min"}
        # Checked after validations, not epochs: an epoch without a validation would count the last one again.
        super().__init__(images, **options, check_on_train_epoch_end=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self.is_of_others(state_dict):
            super().load_state_dict(state_dict)


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt: after every epoch, every ``every_minutes``, before a validation, and at a signal.

    During an epoch it is written only after steps that leave nothing pending: no accumulated gradients, no validation.
    A signal during a validation ends the run at the next validation batch; the resumed run repeats the validation.
    """

    def __init__(self, folder: Path, every_minutes: float | None, signals: StopSignals) -> None:
        self._path = folder / LAST
        self._seconds = float("inf") if every_minutes is None else 60 * every_minutes
        self._signals = signals
        self._written: float | None = None
        self._start = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.monotonic()
        self._signals.patient = True
        self._signals.listen()  # Lightning has set a SIGTERM handler that waits for the end of the epoch

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._signals.patient = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._signals.patient = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if lightning.leaves_something_pending(trainer, batch_idx + 1):
            return
        now = time.monotonic()
        stop = self._signals.received is not None
        due = now - (self._written or self._start) >= self._seconds
        if lightning.is_before_validation(trainer, batch_idx + 1):
            due |= self._written is None or now - self._written > FRESH_SECONDS
        if self._any(trainer, stop or due):
            self._write(trainer)
        self._stop_if(self._any(trainer, stop))

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self._signals.patient:
            self._stop_if(self._any(trainer, self._signals.received is not None))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer)
        self._stop_if(self._any(trainer, self._signals.received is not None))

    def _any(self, trainer: pl.Trainer, here: bool) -> bool:
        return here if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(here, all=False)

    def _stop_if(self, stop: bool) -> None:
        if stop:
            self._signals.received = self._signals.received or signal.SIGTERM
            raise Stop

    def _write(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self._path)
        self._written = time.monotonic()
