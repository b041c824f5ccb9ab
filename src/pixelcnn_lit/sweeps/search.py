"""Searches: Optuna says what to try next, and its journal in the sweep's folder remembers what was tried."""

from __future__ import annotations

import math
import threading
import warnings
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Literal

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import OmegaConf
from rich import get_console

from pixelcnn_lit.config import Count, Section, Seed, check
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.sweeps.jobs import OF_THE_SWEEP, Job, folder_name
from pixelcnn_lit.sweeps.sweeper import JobSweeper

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage


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
        overrides = [o for o in self.parse(self.options.params, arguments) if o.key_or_group not in OF_THE_SWEEP]
        self.fixed = tuple(o.input_line or "" for o in overrides if not o.is_sweep_override())
        self.space = {o.get_key_element(): distribution(o) for o in overrides if o.is_sweep_override()}
        if not self.space:
            raise UserError(
                "sweep=optuna: nothing to search; give optimizer.lr=interval(1e-4,1e-2) or model.n_res=5,15"
            )
        with self.opened():
            if self.composed.overwrite:
                self._clear()
            study, storage = self._open()
            self._refuse_another(study)
            n_trials = self.options.n_trials
            before = study.get_trials(deepcopy=False)
            done = frozenset(trial.number for trial in before if trial.state.is_finished())
            get_console().print(
                f"{shown(self.dir)}: {n_trials} trials, {len(done)} done before, "
                f"{max(0, n_trials - len(done))} to run, {self.parallel(n_trials)} side by side",
                highlight=False,
            )
            self.search(study, storage)
            trials = study.get_trials(deepcopy=False)
            jobs = [
                self.job(trial.number, trial.params) for trial in trials if trial.params.keys() == self.space.keys()
            ]
            self.conclude(jobs, frozenset(self.job(t.number, t.params).name for t in trials if t.number in done))

    def parallel(self, n_trials: int) -> int:
        """How many trials run side by side."""
        return max(1, min(n_trials, self.jobs_launcher.parallel))

    def search(self, study: Study, storage: BaseStorage) -> None:
        """Run trials until there are ``n_trials``, those first that were begun."""
        from optuna.trial import TrialState

        from pixelcnn_lit.sweeps.trial import note, trial_of

        begun = [trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]
        lock, stopped = threading.Lock(), threading.Event()

        def worker() -> None:
            while not stopped.is_set():
                with lock:
                    if begun:
                        trial = trial_of(study, storage, begun.pop(0))
                    elif len(study.get_trials(deepcopy=False)) < self.options.n_trials:
                        trial = study.ask()
                    else:
                        return
                    job = self.job(trial.number, {key: suggest(trial, key, self.space[key]) for key in self.space})
                    status = self.admit(job)
                    note(job.folder, trial.number, self.options.pruner)
                if status.state not in ("finished", "failed"):
                    self.launch([job])
                    status = run_folder.status(job.folder)
                with lock:
                    tell(study, trial, status)

        with ThreadPoolExecutor(self.parallel(self.options.n_trials)) as pool:
            workers = [pool.submit(worker) for _ in range(self.parallel(self.options.n_trials))]
            try:
                finished, _ = wait(workers, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
            except BaseException as error:
                stopped.set()
                self.jobs_launcher.stop()
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(*error.args, "the same command goes on with the search") from None
                raise

    def job(self, number: int, values: dict[str, Any]) -> Job:
        """The job of a trial; its folder has the trial's number and its values, shortened."""
        swept = tuple(f"{key}={value}" for key, value in values.items())
        short = [
            f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
        ]
        return Job(self.dir / f"{number:03d}+{folder_name(short)}", (*self.fixed, *swept), swept)

    def _open(self) -> tuple[Study, BaseStorage]:
        from pixelcnn_lit.sweeps.trial import make_pruner, open_study

        study, storage = open_study(self.dir)
        # A seed gives a start; were it the same after a restart, the sampler would say again what it has said.
        seed = None if self.options.seed is None else self.options.seed + len(study.get_trials(deepcopy=False))
        study.sampler = make_sampler(self.options.sampler, seed, liar=self.jobs_launcher.parallel > 1)
        study.pruner = make_pruner(self.options.pruner)
        return study, storage

    def _refuse_another(self, study: Study) -> None:
        asked: dict[str, Any] = {
            "fixed": sorted(o for o in self.fixed if o.partition("=")[0] not in run_folder.CHANGEABLE),
            "space": {key: str(value) for key, value in self.space.items()},
        }
        known = study.user_attrs.get("asked")
        if known is None:
            study.set_user_attr("asked", asked)
        elif known != asked:
            old, new = ({*a["fixed"], *(f"{k}: {v}" for k, v in a["space"].items())} for a in (known, asked))
            theirs, ours = (", ".join(sorted(side)) or "nothing" for side in (old - new, new - old))
            raise UserError(
                f"{shown(self.dir)}: the search there has {theirs}, not {ours}. "
                "Choose another name, or start over: overwrite=true"
            )

    def _clear(self) -> None:
        import shutil

        from pixelcnn_lit.sweeps.trial import JOURNAL, NOTE

        for folder in self.dir.glob(f"*/{NOTE}"):
            with run_folder.held(folder.parent):
                shutil.rmtree(folder.parent)
        for name in (JOURNAL, f"{JOURNAL}.lock"):
            (self.dir / name).unlink(missing_ok=True)


def distribution(override: Override) -> BaseDistribution:
    """Optuna's distribution for a swept override: ``a,b`` and ``choice(a,b)`` one of these, ``range(1,9,2)`` a number
    of these, ``interval(0,1)`` a real number, ``int(interval(1,9))`` an integer; ``tag(log, ...)`` by its logarithm.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

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
    """The value of a key in a trial: chosen now, or what was chosen before."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match space:
        case FloatDistribution():
            return trial.suggest_float(key, space.low, space.high, log=space.log, step=space.step)
        case IntDistribution():
            return trial.suggest_int(key, space.low, space.high, log=space.log, step=space.step)
        case CategoricalDistribution():
            return trial.suggest_categorical(key, space.choices)
    raise TypeError(space)


def tell(study: Study, trial: Trial, status: run_folder.Status) -> None:
    """Tell Optuna how a job ended. A trial that was interrupted stays open: it goes on at the next start."""
    from optuna.trial import TrialState

    value = None if status.metrics is None else status.metrics.get("val/bits_per_dim")
    if status.state == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    elif value is not None and math.isfinite(value):
        study.tell(trial, value)
    elif status.state in ("failed", "finished"):
        trial.set_user_attr("reason", status.reason or "no validation")
        study.tell(trial, state=TrialState.FAIL)


def make_sampler(name: str, seed: int | None, *, liar: bool) -> BaseSampler:
    """Optuna's sampler by its name; a ``liar`` takes trials that run for bad ones, so as not to repeat them."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import RandomSampler, TPESampler

    if name == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, constant_liar=liar)
