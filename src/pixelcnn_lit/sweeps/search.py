"""The sweeper for searches: Optuna suggests values, and its journal in the sweep's folder stores all trials."""

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
    """Minimises the best validation bits per dimension over ``n_trials`` jobs, counted over all restarts.

    The launcher determines how many trials run in parallel. A trial is a job: an interrupted trial is resumed, a failed
    one is reported to Optuna as failed, and its validations go to Optuna's pruner.
    """

    def __init__(self, **options: Any) -> None:
        self.options = check(OmegaConf.create(options), SearchConfig, "hydra.sweeper.")

    def sweep(self, arguments: list[str]) -> None:
        overrides = [o for o in self.parse(self.options.params, arguments) if o.key_or_group not in SWEEP_KEYS]
        # Imported here: Optuna takes long to import, and Hydra imports this module for --help.
        imported("pixelcnn_lit.sweeps.optuna_search:Search")(self, overrides).run()
