"""Searches: Optuna says what to try next, and its journal in the sweep's folder remembers what was tried."""

from __future__ import annotations

from typing import Any, Literal

from omegaconf import OmegaConf

from pixelcnn_lit.config import Count, Section, Seed, check
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.sweeps.jobs import SWEEP_KEYS
from pixelcnn_lit.sweeps.sweeper import JobSweeper


class SearchConfig(Section):
    """conf/hydra/sweeper/optuna.yaml."""

    n_trials: Count
    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "hyperband", "none"]
    seed: Seed | None
    params: dict[str, Any] | None


class OptunaSweeper(JobSweeper):
    """Minimises the best validation bits/dim over ``n_trials`` jobs in all, however often it is started again.

    As many trials run side by side as the launcher has places. A trial is a job: one that was interrupted goes on, one
    that failed is told to Optuna as failed, and its validations go to Optuna's pruner.
    """

    def __init__(self, **options: Any) -> None:
        self.options = check(OmegaConf.create(options), SearchConfig, "hydra.sweeper.")

    def sweep(self, arguments: list[str]) -> None:
        overrides = [o for o in self.parse(self.options.params, arguments) if o.key_or_group not in SWEEP_KEYS]
        # Imported now: Optuna takes long, and Hydra imports this module to answer --help.
        imported("pixelcnn_lit.sweeps.optuna_search:Search")(self, overrides).run()
