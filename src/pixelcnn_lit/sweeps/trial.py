"""What a job of a search shares with its sweeper: a trial in Optuna's journal, which both can read and write."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl

from pixelcnn_lit.errors import Pruned
from pixelcnn_lit.metrics import VAL
from pixelcnn_lit.storage.files import write_whole

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

JOURNAL, STUDY, NOTE = "optuna.journal", "search", "trial.json"


def open_study(
    folder: Path, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> tuple[Study, BaseStorage]:
    """The study whose journal lies in a sweep's folder, made there if need be, and the journal."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    study = optuna.create_study(
        storage=storage, study_name=STUDY, direction="minimize", load_if_exists=True, sampler=sampler, pruner=pruner
    )
    return study, storage


def trial_of(study: Study, storage: BaseStorage, number: int) -> Trial:
    """A trial to ask for its values and to report to, by its number."""
    from optuna import Trial

    study_id = storage.get_study_id_from_name(STUDY)
    return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def note(folder: Path, number: int, pruner: str) -> None:
    """Tell the job in ``folder`` which trial it is, and what may prune it."""
    with write_whole(folder / NOTE) as file:
        file.write(json.dumps({"number": number, "pruner": pruner}).encode() + b"\n")


def make_pruner(name: str) -> BasePruner:
    """One of Optuna's pruners by its name in conf/hydra/sweeper/optuna.yaml."""
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    return {"median": MedianPruner, "hyperband": HyperbandPruner, "none": NopPruner}[name]()


class Prune(pl.Callback):
    """Reports each epoch's validation to the trial, and ends the run where the study has no hope for it."""

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / NOTE).read_bytes())
        self._folder, self._number, self._pruner = folder, int(told["number"]), str(told["pruner"])

    @staticmethod
    def has_been_told(folder: Path) -> bool:
        """Whether the run in ``folder`` is a job of a search."""
        return (folder / NOTE).exists()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        bits = trainer.callback_metrics.get(VAL)
        if trainer.sanity_checking or trainer.state.fn != "fit" or bits is None:
            return
        epoch, hopeless = trainer.current_epoch + 1, False
        if trainer.is_global_zero:
            study, storage = open_study(self._folder.parent, pruner=make_pruner(self._pruner))
            trial = trial_of(study, storage, self._number)
            if epoch not in study.trials[self._number].intermediate_values:  # told already, before it was resumed
                trial.report(float(bits), epoch)
            hopeless = trial.should_prune()
        if trainer.world_size > 1:
            hopeless = trainer.strategy.reduce_boolean_decision(hopeless, all=False)
        if hopeless:
            raise Pruned(f"val {float(bits):.4f} bits/dim after epoch {epoch}: the {self._pruner} pruner has no hope")
