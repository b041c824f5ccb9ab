"""What all runs share: one training from its config to the metrics and pictures in its folder."""

from __future__ import annotations

import functools
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, LearningRateMonitor
from rich import get_console

from pixelcnn_lit import messages
from pixelcnn_lit.config import RunConfig
from pixelcnn_lit.config.changes import ORIGIN, changes
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.config.places import BEST, CHECKPOINTS, LAST
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.device import enough_memory
from pixelcnn_lit.errors import Interrupted, UserError
from pixelcnn_lit.scores import Score
from pixelcnn_lit.storage import checkpoint, run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.training import loggers, precision, summary, validations
from pixelcnn_lit.training.averaging import AveragedWeights
from pixelcnn_lit.training.base import LitModel
from pixelcnn_lit.training.callbacks import EpochLines, FiniteSteps, ProgressBar, Throughput, ValidationCurve
from pixelcnn_lit.training.origin import command, config_options, git_revision, now, origin
from pixelcnn_lit.training.parts import Parts
from pixelcnn_lit.training.profile import make_profiler
from pixelcnn_lit.training.resume import (
    BestCheckpoint,
    LastCheckpoint,
    Patience,
    Position,
    Stop,
    StopSignals,
    WholeCheckpoints,
)
from pixelcnn_lit.training.step_lines import StepLines

C = TypeVar("C", bound=RunConfig)


class BaseRun(ABC, Generic[C]):
    """One training: its ``config``, ``folder``, ``data``, ``module`` and Lightning's ``trainer``.

    A run resumes from the newest good checkpoint in its folder, else from ``config.ckpt``, else it starts anew. A
    subclass says what is trained: the module, the callbacks of its own, the results and the pictures.
    """

    score: ClassVar[Score]
    """The score by which checkpoints are compared; the lowest is the best."""
    command: ClassVar[str]
    """The module of the command that starts such a run."""

    def __init__(
        self,
        config: C,
        folder: str | Path | None = None,
        *,
        callbacks: Sequence[Callback] = (),
        told: tuple[Sequence[str], Any] = ((), {}),
    ) -> None:
        """Seed the random generators, read the data and build the Trainer.

        Args:
            config: The checked config.
            folder: The folder of the run; by default a dated one below outputs/.
            callbacks: Lightning callbacks, which are called before the run's own.
            told: The overrides of the command line and Hydra's config, which :meth:`fit` records under .hydra/.

        Raises UserError if the data cannot be read, the Trainer refuses an argument, or the checkpoint does not fit.
        """
        summary.quiet_lightning()
        pl.seed_everything(config.seed, verbose=False)
        self.config, self._told = config, told
        self.folder = _dated(config) if folder is None else Path(folder)
        self.ckpt, self._before = self._start()
        self.data = self._data()
        self.throughput, self.signals, self._position = Throughput(), StopSignals(), Position()
        self._parts = Parts(self._made)
        self._finite = FiniteSteps(config.on_nan, self.folder / CHECKPOINTS)
        self._curve = ValidationCurve(self.score, self.folder, self.throughput, self._position)
        self._revision = git_revision()
        self.trainer = self._make_trainer(callbacks)
        self.data.setup()
        validations.check_interval(self.trainer, len(self.data.split("train")), config)
        self.module = self._build()
        if config.weights is not None and self.ckpt is None:
            self.module.model.load_state_dict(checkpoint.weights_for(config))

    def _data(self) -> ImageDataModule:
        """The data, which are not read yet."""
        return ImageDataModule(self.config.data, self.config.seed, reshuffle=not self.config.trainer.overfit_batches)

    @abstractmethod
    def _build(self) -> LitModel:
        """The module, with untrained weights."""

    @abstractmethod
    def _own_callbacks(self) -> Iterator[Callback]:
        """The callbacks that not all runs have."""

    @abstractmethod
    def _results(self, tested: Mapping[str, float], val: float | None, facts: dict[str, Any]) -> summary.Metrics:
        """The results of the run, from the test's and what :meth:`_facts` says of every run."""

    @abstractmethod
    def _draw(self) -> None:
        """Write the pictures that a run leaves, of the best weights."""

    def fit(self) -> None:
        """Train to the end, from the start or from the checkpoint.

        Raises Interrupted after Ctrl-C or SIGTERM, when the state is saved; Pruned if a search ends the run; UserError
        if the loss or its gradients are not finite, or the memory is too small.
        """
        if run_folder.rank() == 0:
            # Only here: a run that is refused at its start must not claim the name.
            run_folder.record(self.folder, self.config, *self._told)
        self._announce()
        with self._guarded():
            if self.ckpt is None and self.config.weights is None:
                self.module.initialise(next(iter(self.data.loader("train", shuffle=True))))
            self._train()

    def conclude(self) -> summary.Metrics | None:
        """Test the best checkpoint, write metrics.json, two pictures and the scores of loggers, and show a table.

        Returns the metrics, or None in all processes but the first. Raises UserError if the test result is not finite.
        """
        with self._guarded():
            best, val = self._best()
            if best is not None:
                model, _ = checkpoint.load_model(best)
                self.module.model.load_state_dict(model.state_dict())
            found = self.trainer.test(self.module, datamodule=self.data, verbose=False)
            tested = found[0] if found else {}
            test = tested.get(self.score.test)
            if test is not None and not math.isfinite(test):
                raise UserError(
                    f"test {self.score.unit}: {test}: the weights have gone wrong; lower optimizer.lr, "
                    "optimizer.weight_decay or trainer.gradient_clip_val"
                )
            if not self.trainer.is_global_zero:
                return None
            metrics = self._results(tested, val, self._facts(best))
            self.module.model.eval()
            self._draw()
            summary.write(self.folder, metrics, self.trainer.loggers)
        messages.SHOWN.info(f"finished: {run_folder.summary(metrics.as_json())}")
        get_console().print(summary.table(metrics, self.folder))
        return metrics

    def _start(self) -> tuple[Path | None, RunConfig]:
        """The checkpoint to resume from, or None, and the config of the run that wrote it."""
        there = None if run_folder.starts_over(self.config) else checkpoint.newest_good(self._checkpoints)
        start = there or self.config.ckpt
        return (None, self.config) if start is None else checkpoint.resumable(start, self.config)

    @property
    def _checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    def _make_trainer(self, first: Sequence[Callback]) -> pl.Trainer:
        options = trainer_options(self.config, self.folder)
        kept_loggers = loggers.make_loggers(self.config.logger, self.folder)
        plugins: list[Any] = [WholeCheckpoints()]
        callbacks = [*first, *self._watching(options), *self._averaging(options), *self._saving(options)]
        if options["precision"] == "bf16-mixed":
            bfloat16 = precision.Bfloat16("cpu" if options["accelerator"] == "cpu" else "cuda")
            plugins.append(bfloat16)
            # First: the step's precision is set before any other callback runs the network.
            callbacks.insert(0, precision.Float32Tail(bfloat16, self.config.trainer.float32_tail))
            options["precision"] = None
        try:
            return pl.Trainer(**options, callbacks=callbacks, logger=kept_loggers or False, plugins=plugins)
        except Exception as error:  # Lightning refuses arguments with many kinds of errors
            raise UserError(f"trainer: {' '.join(str(error).split())}") from error

    def _watching(self, options: dict[str, Any]) -> Iterator[Callback]:
        """The callbacks that observe the training."""
        yield from (self._position, self._parts, self._finite, self.throughput, self._curve)
        yield EpochLines(self.score, self.throughput, self._curve)
        if run_folder.is_trial(self.folder):
            yield imported("pixelcnn_lit.sweeps.prune:Prune")(self.folder, self._position)
        if options["enable_progress_bar"]:
            yield ProgressBar(self.score)
        elif self.config.trainer.enable_progress_bar is None:
            yield StepLines(self.score, self.throughput)
        if self.config.logger != type(self.config.logger)():
            yield LearningRateMonitor("step")
        yield from self._own_callbacks()

    def _averaging(self, options: dict[str, Any]) -> Iterator[Callback]:
        """The callbacks that average the weights and end the training early."""
        chosen = self.config.callbacks
        if chosen.ema.decay is not None:
            yield AveragedWeights(chosen.ema.decay)
        if chosen.early_stopping.patience is None:
            return
        if not _validates(options):
            raise UserError("callbacks.early_stopping.patience: needs validation, which trainer turns off")
        patience, min_delta = chosen.early_stopping.patience, chosen.early_stopping.min_delta
        yield Patience(self.score.val, min_delta, patience, lambda: self._judged)

    def _saving(self, options: dict[str, Any]) -> Iterator[Callback]:
        if options["enable_checkpointing"] is not False and not options["fast_dev_run"]:
            monitor = self.score.val if _validates(options) else None
            yield BestCheckpoint(self._checkpoints, monitor, self.ckpt, lambda: self._judged)
            yield LastCheckpoint(self._checkpoints, self.config.checkpoint.every_minutes, self.signals)

    @functools.cached_property
    def _judged(self) -> str:
        """A digest of the images that a validation is a mean over."""
        images = self.data.split("val").images[: self._images("val")]
        return hashlib.sha256(images.cpu().numpy().data).hexdigest()

    def _announce(self) -> None:
        if self.trainer.is_global_zero:
            messages.say(
                summary.headline(self.config, self.module, self.data, self.folder, str(self.trainer.precision))
            )
            if self.ckpt is not None:
                messages.say(f"goes on from {shown(self.ckpt)}")
                for key, (before, now) in changes(self._before, self.config, ORIGIN).items():
                    messages.say(f"  with {key}={now}, where the run before had {before}")
            elif self.config.weights is not None:
                messages.say(f"begins with the weights of {shown(checkpoint.best_in(self.config.weights))}")
            images = len(self.data.split("train"))
            for of in (validations.without_effect, validations.cut_short, validations.rate_cut_short):
                if told := of(self.trainer, images, self.config):
                    messages.say(told)
        choices = summary.hyperparameters(self.config, self.data)
        loggers.begin(self.trainer.loggers, choices, summary.swept_values(self.folder, self.config))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn a signal into Interrupted, and too little memory into UserError, with advice in the message."""
        batch = f"data.batch_size={self.config.data.batch_size}"
        advice = "Try a smaller one with trainer.accumulate_grad_batches=N, N times as large in effect"
        with self.signals.caught():
            try:
                with enough_memory(batch, advice):
                    yield
            except (Stop, SystemExit, KeyboardInterrupt):  # Lightning turns KeyboardInterrupt into SystemExit
                raise Interrupted(self._how_to_go_on(), self.signals.received) from None

    def _how_to_go_on(self) -> str:
        last = self._checkpoints / LAST
        reached = last if last.exists() else self.ckpt
        if reached is None:
            return "before the first checkpoint; the same command starts again"
        if run_folder.swept(self.folder):
            return "this job goes on with its sweep"
        named, where = self.config.name is not None, f"ckpt={shown(reached)}"
        return f"{run_folder.same_command(overwrite=self.config.overwrite, named=named, where=where)} goes on"

    def _train(self) -> None:
        """Train. If Lightning refuses, raise UserError that names the cause: Trainer arguments or the checkpoint."""
        try:
            self.trainer.fit(self.module, datamodule=self.data, ckpt_path=self.ckpt, weights_only=True)
        except (UserError, Stop):
            raise
        except MisconfigurationException as error:
            raise UserError(f"trainer: {' '.join(str(error).split())}") from error
        except Exception as error:
            if self.ckpt is None or self._position.started:
                raise
            reason = " ".join([f"{type(error).__name__}:", *str(error).split()])
            raise UserError(f"ckpt={self.ckpt}: its state of a training does not fit this run ({reason})") from error

    def _best(self) -> tuple[Path | None, float | None]:
        """The best checkpoint and its score of validation, None if there is none."""
        keeper, at_the_end = self.trainer.checkpoint_callback, self._at_the_end()
        if not isinstance(keeper, BestCheckpoint):
            return None, at_the_end
        if keeper.best_model_path:
            path, score = Path(keeper.best_model_path), keeper.best_model_score if keeper.monitor else None
            before = at_the_end if score is None else float(score)
            if before is None or at_the_end is None or not at_the_end < before:
                return path, before
        best = self._checkpoints / BEST
        self.trainer.save_checkpoint(best)
        return best, at_the_end

    def _at_the_end(self) -> float | None:
        """The score of the last weights, None if the Trainer turns validation off.

        They are validated now if training ended, by max_steps or max_time, between two validations or before the first.
        """
        validated = self.trainer.callback_metrics.get(self.score.val)
        if self._curve.last == self.trainer.global_step:
            return None if validated is None else float(validated)
        score = self._validated()
        if score is not None and self.trainer.is_global_zero:
            self._curve.add(self.trainer, score, tell=True)
        return score

    def _validated(self) -> float | None:
        """The score of a validation now, None if the Trainer turns validation off."""
        validated = self.trainer.validate(self.module, datamodule=self.data, verbose=False)
        return validated[0].get(self.score.val) if validated else None

    def _facts(self, best: Path | None) -> dict[str, Any]:
        """What the results of every run say beside its scores: the arguments of :class:`summary.Metrics`."""
        return {
            "data": self.config.data.name,
            "source": self.data.source,
            "levels": self.config.data.levels,
            "binarize": self.config.data.binarize,
            "params": summary.parameter_count(self.module.model),
            "epochs": self._position.epochs(self.trainer),
            "steps": self.trainer.global_step,
            "limits": self._limits(),
            "test_images": self._images("test"),
            "val_images": self._images("val"),
            "train_seconds": self.throughput.seconds,
            "processor_seconds": self.throughput.processor_seconds,
            "images_per_second": self.throughput.images_per_second,
            "skipped_steps": self._finite.skipped,
            "best_ckpt": None if best is None else str(best.absolute().relative_to(self.folder.absolute())),
            "seed": self.config.seed,
            "parts": self._parts.several,
            "date": now(),
            **self._parts.last(self.trainer.global_step),
        }

    def _made(self) -> dict[str, Any]:
        """What makes the steps of this process: the command, the precision, and what :func:`origin` says."""
        overrides, hydra = self._told
        told = command(self.command, [*config_options(hydra), *overrides]) if hydra else None
        where = origin(self.trainer.strategy.root_device, self._revision)
        return {"command": told, "precision": str(self.trainer.precision), **where}

    def _limits(self) -> dict[str, int | float]:
        """What the Trainer was told to leave out: the values other than 1.0, all of it, of its limits."""
        names = ("limit_train_batches", "limit_val_batches", "limit_test_batches")
        limits = {name: getattr(self.trainer, name) for name in names}
        return {name: limit for name, limit in limits.items() if not (isinstance(limit, float) and limit == 1.0)}

    def _images(self, part: str) -> int:
        """The number of images of "val" or "test" that its score is a mean over."""
        limit = getattr(self.trainer, f"limit_{part}_batches")
        return validations.judged_images(self.trainer, len(self.data.split(part)), self.config, limit)


def _dated(config: RunConfig) -> Path:
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    if config.name:
        return Path("outputs", config.name)
    return Path("outputs", run_folder.new_folder(Path("outputs"), f"{config.what}/{now}"))


def _validates(options: dict[str, Any]) -> bool:
    return bool(options["limit_val_batches"] != 0)


def trainer_options(config: RunConfig, folder: Path) -> dict[str, Any]:
    """The arguments of Lightning's Trainer, with values in place of "auto".

    Raises UserError if a GPU is requested and there is none.
    """
    options: dict[str, Any] = config.trainer.model_dump(
        exclude={"compile", "checkpoint_activations", "float32_tail", "overfit_batches"}
    )
    if config.trainer.overfit_batches:
        options["limit_train_batches"] = int(config.trainer.overfit_batches)
    wish = options["accelerator"]
    if wish == "auto":
        options["accelerator"] = "cuda" if torch.cuda.is_available() else "cpu"
    if wish in ("cuda", "gpu") and not torch.cuda.is_available():
        raise UserError(f"trainer.accelerator={wish}: no CUDA GPU here; trainer=auto or trainer=cpu would work")
    if wish == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator=mps: no Apple GPU here; trainer=auto or trainer=cpu would work")
    kind = options["accelerator"] if options["accelerator"] in ("cpu", "mps") else "cuda"
    options["precision"] = precision.choose(options["precision"], kind)
    if options["enable_progress_bar"] is None:
        options["enable_progress_bar"] = get_console().is_terminal
    options["profiler"] = make_profiler(options["profiler"], folder)
    return options
