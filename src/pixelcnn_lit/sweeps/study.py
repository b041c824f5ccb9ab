"""The Optuna study of a search. Its journal is in the sweep's folder, and jobs read and write it too.

Optuna takes long to import, and Hydra imports all sweepers for ``--help``. So this module, and those that import it,
are imported only when a search or one of its jobs begins.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna import Study, Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import write_whole

JOURNAL, STUDY = "optuna.journal", "search"


def open_study(
    folder: Path, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> tuple[Study, BaseStorage]:
    """The study whose journal is in a sweep's folder, and the journal. They are created if they do not exist."""
    storage = _journal(folder)
    study = optuna.create_study(
        storage=storage, study_name=STUDY, direction="minimize", load_if_exists=True, sampler=sampler, pruner=pruner
    )
    return study, storage


def trials_in(folder: Path) -> list[FrozenTrial]:
    """The trials of the search in a sweep's folder, where nothing is written; none without a whole journal."""
    if not (folder / JOURNAL).is_file():
        return []
    try:
        return optuna.load_study(study_name=STUDY, storage=_journal(folder)).get_trials(deepcopy=False)
    except (KeyError, ValueError):
        return []


def _journal(folder: Path) -> JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))


def trial_of(study: Study, storage: BaseStorage, number: int) -> Trial:
    """The trial with this number."""
    study_id = storage.get_study_id_from_name(STUDY)
    return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def note(folder: Path, number: int, pruner: str) -> None:
    """Write the number of the trial and its pruner into the folder of its job."""
    with write_whole(folder / run_folder.TRIAL) as file:
        file.write(json.dumps({"number": number, "pruner": pruner}).encode() + b"\n")


def make_pruner(name: str) -> BasePruner:
    """One of Optuna's pruners by its name in conf/hydra/sweeper/optuna.yaml."""
    return {"median": MedianPruner, "hyperband": HyperbandPruner, "none": NopPruner}[name]()


def distribution(override: Override) -> BaseDistribution:
    """Optuna's distribution for a swept override.

    ``a,b`` and ``choice(a,b)`` are categorical, ``range(1,9,2)`` and ``int(interval(1,9))`` are integers,
    ``interval(0,1)`` is a real number, and ``tag(log, ...)`` makes a number log-uniform. Raises UserError for a wrong
    space.
    """
    value: Any = override.value()
    log = "log" in getattr(value, "tags", ())
    try:
        if isinstance(value, IntervalSweep):
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=log)
            assert value.start is not None
            assert value.end is not None
            return FloatDistribution(value.start, value.end, log=log)
        if isinstance(value, RangeSweep) and all(isinstance(x, int) for x in (value.start, value.stop, value.step)):
            numbers: Any = value.range()
            return IntDistribution(numbers[0], numbers[-1], log=log, step=1 if log else int(value.step))
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except (ValueError, IndexError) as error:
        raise UserError(f"{override.input_line}: {error}") from error


def suggest(trial: Trial, key: str, space: BaseDistribution) -> Any:
    """The value of a key in a trial: suggested now, or the value suggested before."""
    match space:
        case FloatDistribution():
            return trial.suggest_float(key, space.low, space.high, log=space.log, step=space.step)
        case IntDistribution():
            return trial.suggest_int(key, space.low, space.high, log=space.log, step=space.step)
        case CategoricalDistribution():
            return trial.suggest_categorical(key, space.choices)
    raise TypeError(space)


def draws(space: Mapping[str, BaseDistribution], count: int) -> Iterator[dict[str, Any]]:
    """Values of the keys at random, so many times; the same ones at each call."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(count):
        trial = study.ask()
        yield {key: suggest(trial, key, values) for key, values in space.items()}


def tell(study: Study, trial: Trial, status: run_folder.Status) -> None:
    """Report to Optuna how a job ended, as the search judges it. An interrupted trial stays open, to be resumed."""
    if status.state == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    elif status.state == "finished" and status.metrics is not None:
        study.tell(trial, status.metrics["val/bits_per_dim"])
    elif status.state == "failed":
        trial.set_user_attr("reason", status.reason)
        study.tell(trial, state=TrialState.FAIL)


def make_sampler(name: str, seed: int | None, *, liar: bool) -> BaseSampler:
    """Optuna's sampler by its name. ``liar`` treats running trials as bad ones, so that parallel trials differ."""
    if name == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, constant_liar=liar)
