"""TensorBoard's files: one a process, and in the HParams tab each run from its start, however it ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

SCORES = ("hparams/test", "hparams/val")


class TensorBoard(TensorBoardLogger):
    """Lightning's logger, under ``<run>/tensorboard``."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, name="", version="tensorboard", default_hp_metric=False)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flush alone: Lightning would close the file after each of fit, validate and test, and open another."""
        if self._experiment is not None:
            self._experiment.flush()

    @rank_zero_only
    def begin(self, choices: Mapping[str, Any]) -> None:
        """Name the choices by which runs are compared."""
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in choices.items()
        }
        experiment, start, _ = hparams(plain, dict.fromkeys(SCORES, 0))
        for summary in (experiment, start):
            self.experiment.file_writer.add_summary(summary)
        self.experiment.flush()

    @rank_zero_only
    def end(self, scores: Mapping[str, float | None]) -> None:
        """Give the scores of :data:`SCORES` that there are."""
        for key, value in scores.items():
            if value is not None:
                self.experiment.add_scalar(key, value, 0)
        self.experiment.file_writer.add_summary(hparams({}, {})[2])
        self.experiment.flush()
