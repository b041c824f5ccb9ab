"""Runs an Optuna search: parallel trials, each of which is a job of the sweep."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from hydra.core.override_parser.types import Override
from optuna import Study, Trial
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from rich import get_console

from pixelcnn_lit.config.changes import CHANGEABLE
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import message
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.sweeps.cluster import take_back
from pixelcnn_lit.sweeps.jobs import Job, folder_name
from pixelcnn_lit.sweeps.search import OptunaSweeper
from pixelcnn_lit.sweeps.study import (
    JOURNAL,
    distribution,
    draws,
    make_pruner,
    make_sampler,
    note,
    open_study,
    suggest,
    tell,
    trial_of,
)

CHECKED = 10
"""So many trials are drawn and checked before a search is deleted. One that could run is enough."""


class Search:
    """Runs trials until the study in the sweep's folder has ``n_trials`` trials."""

    def __init__(self, sweeper: OptunaSweeper, overrides: Sequence[Override]) -> None:
        """Raise UserError if no override has several values."""
        self.sweeper, self.options, self.dir = sweeper, sweeper.options, sweeper.dir
        self.fixed = tuple(o.input_line or "" for o in overrides if not o.is_sweep_override())
        self.space = {o.get_key_element(): distribution(o) for o in overrides if o.is_sweep_override()}
        if not self.space:
            raise UserError(
                "sweep=optuna: nothing to search; give optimizer.lr=interval(1e-4,1e-2) or model.n_res=5,15"
            )
        self.parallel = max(1, min(self.options.n_trials, sweeper.jobs_launcher.parallel))
        """The number of trials that run in parallel."""

    def run(self) -> None:
        """Lock the sweep's folder, run the missing trials, and show the results of all trials."""
        if self.sweeper.composed.overwrite:
            self._refuse_failing()
        with self.sweeper.opened():
            if self.sweeper.composed.overwrite:
                self._clear()
            study, storage = self._open()
            self._refuse_another(study)
            n_trials = self.options.n_trials
            before = study.get_trials(deepcopy=False)
            done = frozenset(trial.number for trial in before if trial.state.is_finished())
            get_console().print(
                f"{shown(self.dir)}: {n_trials} trials, {len(done)} done before, "
                f"{max(0, n_trials - len(done))} to run, {self.parallel} side by side",
                highlight=False,
                markup=False,
            )
            self._run_trials(study, storage)
            trials = study.get_trials(deepcopy=False)
            jobs = [
                self.job(trial.number, trial.params) for trial in trials if trial.params.keys() == self.space.keys()
            ]
            self.sweeper.conclude(
                jobs, frozenset(self.job(t.number, t.params).name for t in trials if t.number in done)
            )

    def job(self, number: int, values: dict[str, Any]) -> Job:
        """The job of a trial. Its folder name consists of the trial's number and its values, shortened."""
        swept = tuple(f"{key}={value}" for key, value in values.items())
        short = [
            f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
        ]
        return Job(self.dir / f"{number:03d}+{folder_name(short)}", (*self.fixed, *swept), swept)

    def _run_trials(self, study: Study, storage: BaseStorage) -> None:
        """Run trials until there are ``n_trials``, beginning with interrupted ones."""
        begun = [trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]
        lock, stopped = threading.Lock(), threading.Event()

        def next_trial() -> Trial | None:
            if begun:
                return trial_of(study, storage, begun.pop(0))
            return study.ask() if len(study.get_trials(deepcopy=False)) < self.options.n_trials else None

        def work() -> None:
            while not stopped.is_set():
                with lock:
                    trial = next_trial()
                    if trial is None:
                        return
                    job, status = self._begin(trial)
                if status.state not in ("finished", "failed"):
                    self.sweeper.launch([job])
                    status = run_folder.status(job.folder)
                status = self.sweeper.judged(status)
                with lock:
                    tell(study, trial, status)

        with ThreadPoolExecutor(self.parallel) as pool:
            workers = [pool.submit(work) for _ in range(self.parallel)]
            try:
                finished, _ = wait(workers, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
            except BaseException as error:
                stopped.set()
                self.sweeper.jobs_launcher.stop()
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(
                        *error.args, f"{self.sweeper.same_command} goes on with the search"
                    ) from None
                raise

    def _begin(self, trial: Trial) -> tuple[Job, run_folder.Status]:
        job = self.job(trial.number, {key: suggest(trial, key, self.space[key]) for key in self.space})
        status = self.sweeper.admit(job)
        note(job.folder, trial.number, self.options.pruner)
        return job, status

    def _open(self) -> tuple[Study, BaseStorage]:
        study, storage = open_study(self.dir)
        # After a restart the seed must differ, because the sampler would suggest the same values again.
        seed = None if self.options.seed is None else self.options.seed + len(study.get_trials(deepcopy=False))
        study.sampler = make_sampler(self.options.sampler, seed, liar=self.sweeper.jobs_launcher.parallel > 1)
        study.pruner = make_pruner(self.options.pruner)
        return study, storage

    def _refuse_another(self, study: Study) -> None:
        asked: dict[str, Any] = {
            "fixed": sorted(o for o in self.fixed if o.partition("=")[0].lstrip("+") not in CHANGEABLE),
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

    def _refuse_failing(self) -> None:
        """Raise UserError with what is wrong if no trial could run, so that no search is deleted for such ones."""
        wrong: Exception | None = None
        for values in draws(self.space, CHECKED):
            try:
                self.sweeper.checked(self.job(0, values))
            except Exception as error:
                wrong = wrong or error
            else:
                return
        assert wrong is not None
        raise UserError(message(wrong)) from wrong

    def _clear(self) -> None:
        folders = [path.parent for path in self.dir.glob(f"*/{run_folder.TRIAL}")]
        for folder in folders:
            with run_folder.held(folder):  # before the first is deleted: a trial may still be running
                pass
        for folder in folders:
            take_back(folder)
            run_folder.discard(folder)
        for name in (JOURNAL, f"{JOURNAL}.lock"):
            (self.dir / name).unlink(missing_ok=True)
