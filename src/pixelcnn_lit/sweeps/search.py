"""The sweeper for searches: Optuna suggests values, and its journal in the sweep's folder stores all trials."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any, Literal

from omegaconf import OmegaConf

from pixelcnn_lit.config import Count, Section, Seed, TrainerConfig, check
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.run_folder import Status
from pixelcnn_lit.sweeps.jobs import SWEEP_KEYS
from pixelcnn_lit.sweeps.sweeper import JobSweeper

DECIDE_VALIDATION = ("trainer.limit_val_batches", "trainer.fast_dev_run", "trainer", "experiment", "debug")
"""The keys and groups that turn validation on or off. If one is swept, the trials differ in it."""


class SearchConfig(Section):
    """conf/hydra/sweeper/optuna.yaml."""

    n_trials: Count
    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "hyperband", "none"]
    seed: Seed | None
    params: dict[str, Any] | None


class OptunaSweeper(JobSweeper):
    """Minimises the best validation bits per dimension over ``n_trials`` jobs, counted over all restarts.

    The launcher determines how many trials run in parallel. A trial is a job: an interrupted trial is resumed, a failed
    one is reported to Optuna as failed, and its validations go to Optuna's pruner.
    """

    def __init__(self, **options: Any) -> None:
        self.options = check(OmegaConf.create(options), SearchConfig, "hydra.sweeper.")

    def sweep(self, arguments: list[str]) -> None:
        overrides = [o for o in self.parse(self.options.params, arguments) if o.key_or_group not in SWEEP_KEYS]
        # Imported here: Optuna takes long to import, and Hydra imports this module for --help.
        search = imported("pixelcnn_lit.sweeps.optuna_search:Search")(self, overrides)
        self._refuse_all(search.space)
        search.run()

    def refuse(self, trainer: TrainerConfig) -> None:
        # Lightning takes the batches of fast_dev_run in place of limit_val_batches.
        if trainer.limit_val_batches == 0 and not trainer.fast_dev_run:
            raise UserError("trainer.limit_val_batches=0: a search needs the validation that this turns off")

    def judged(self, status: Status) -> Status:
        """A run that is finished without a validation has failed as a trial, since the search learns nothing of it."""
        if status.state != "finished" or status.metrics is None:
            return status
        val = status.metrics.get("val/bits_per_dim")
        if val is not None and math.isfinite(val):
            return status
        return Status("failed", status.metrics, "finished without val/bits_per_dim, which the search minimises")

    def _refuse_all(self, space: Container[str]) -> None:
        """Raise UserError if :meth:`refuse` would for every trial, before the search has a folder."""
        if not any(key in space for key in DECIDE_VALIDATION):
            self.refuse(check(self.composed.trainer, TrainerConfig, "trainer."))
