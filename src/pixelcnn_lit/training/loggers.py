"""The loggers of a run: TensorBoard, CSV files, MLflow and Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

from pixelcnn_lit.config.logger import LoggerConfig
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.pictures import Picture
from pixelcnn_lit.scores import SCORES, Score


def tag(name: str) -> str:
    """The tag in TensorBoard of a value that Lightning logs. The first word of a tag is the group of its card.

    Groups are in the order of the alphabet, and TensorBoard opens the first two: the splits of the score beside each
    other, and the pictures. What only says how the training goes is in the last one.

    >>> tag("val/bits_per_dim"), tag("images_per_second")
    ('bits_per_dim/val', 'training/images_per_second')
    """
    split, _, score = name.partition("/")
    return f"{score}/{split}" if any(score == known.name for known in SCORES) else f"training/{name}"


class TensorBoard(TensorBoardLogger):
    """Lightning's logger under ``<run>/tensorboard``, one file per process. Runs are in HParams from their start."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, name="", version="tensorboard", default_hp_metric=False)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write values under their :func:`tag`, without the epoch, which Lightning adds to all that it logs."""
        super().log_metrics({tag(name): value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Only flush. Lightning would close the file after each of fit, validate and test, and open a new one."""
        if self._experiment is not None:
            self._experiment.flush()

    @rank_zero_only
    def begin(self, choices: Mapping[str, Any]) -> None:
        """Write the hyperparameters, by which the HParams tab compares runs."""
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in choices.items()
        }
        # Without the summary of an experiment: TensorBoard would take the columns of all runs from that of one run.
        self.experiment.file_writer.add_summary(hparams(plain, {})[1])
        self.experiment.flush()

    def add_picture(self, name: str, picture: Picture, step: int) -> None:
        """Write a picture."""
        self.experiment.add_image(f"pictures/{name}", torch.from_numpy(picture), step, dataformats="HWC")

    @rank_zero_only
    def end(self, score: Score, best: float | None, step: int) -> None:
        """Write the validation of the best checkpoint, and mark the run as ended."""
        if best is not None:
            self.experiment.add_scalar(f"{score.name}/best_val", best, step)
        self.experiment.file_writer.add_summary(hparams({}, {})[2])
        self.experiment.flush()


def make_loggers(config: LoggerConfig, folder: Path) -> list[Logger]:
    """Make the loggers of a run. Raise UserError if a logger needs a package that is not installed."""
    made: list[Logger] = []
    if config.tensorboard is not None:
        made.append(TensorBoard(folder))
    if config.csv is not None:
        made.append(CSVLogger(folder, name="", version="csv"))
    if (mlflow := config.mlflow) is not None:
        make: Callable[[], Logger] = lambda: MLFlowLogger(  # noqa: E731
            experiment_name=mlflow.experiment, tracking_uri=mlflow.tracking_uri, run_name=folder.name
        )
        made.append(_with_package("mlflow", make))
    if (wandb := config.wandb) is not None:
        make = lambda: WandbLogger(  # noqa: E731
            name=folder.name, project=wandb.project, offline=wandb.offline, save_dir=folder
        )
        made.append(_with_package("wandb", make))
    return made


def _with_package(name: str, make: Callable[[], Logger]) -> Logger:
    try:
        return make()
    except ModuleNotFoundError as error:
        raise UserError(f"logger={name}: needs {name}; pip install 'pixelcnn-lit[{name}]'") from error


def begin(loggers: Sequence[Logger], choices: Mapping[str, Any], swept: Mapping[str, Any]) -> None:
    """Log the hyperparameters of a run to all loggers.

    In a job of a sweep, TensorBoard gets what was ``swept`` alone: its HParams tab has a column for each key, and the
    constant ones would hide those that differ.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoard):
            logger.begin(swept or choices)
        else:
            logger.log_hyperparams(dict(choices))
