"""The base of all sweepers, and the sweeper for grids: which jobs exist, which are done, and a table of results."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from rich import get_console
from rich.markup import escape
from rich.table import Table

from pixelcnn_lit.config import Section, TrainConfig, TrainerConfig, check, load_plugins, plugins_of
from pixelcnn_lit.config.places import RECORD
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import message
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown, write_whole
from pixelcnn_lit.sweeps.cluster import take_back
from pixelcnn_lit.sweeps.jobs import Job, grid
from pixelcnn_lit.sweeps.launcher import JobLauncher

FOLDER = "hydra.sweep.subdir"


class JobSweeper(Sweeper):
    """The base of grids and searches. All state for a restart is in the folders of the sweep and its jobs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.composed, self.loader = config, hydra_context.config_loader
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not isinstance(launcher, JobLauncher):
            chosen = config.hydra.runtime.choices["hydra/launcher"]
            raise UserError(f"hydra/launcher={chosen}: must be one of local, joblib, slurm, ray")
        self.jobs_launcher = launcher
        self.dir = Path(config.hydra.sweep.dir)

    @property
    def same_command(self) -> str:
        """What goes on with this sweep: without a name, a new start would make a new folder."""
        chosen = [
            word for word in self.composed.hydra.overrides.hydra if word.startswith(("hydra.run", "hydra.sweep.dir"))
        ]
        named, where = bool(self.composed.name or chosen), f"hydra.run.dir={shown(self.dir)}"
        return run_folder.same_command(overwrite=bool(self.composed.overwrite), named=named, where=where)

    def parse(self, params: dict[str, Any] | None, arguments: Sequence[str]) -> list[Any]:
        """The overrides of ``hydra.sweeper.params`` and of the command line, which has priority."""
        parser = OverridesParser.create(config_loader=self.loader)
        parsed = parser.parse_overrides([*(f"{key}={value}" for key, value in (params or {}).items()), *arguments])
        return list({override.key_or_group: override for override in parsed}.values())

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Lock the sweep's folder during the block. SIGTERM then works like Ctrl-C, so that the jobs can save."""
        if (self.dir / RECORD).exists():
            raise UserError(f"{shown(self.dir)}: holds a single run; give the sweep another name")
        with run_folder.held(self.dir):
            with write_whole(self.dir / run_folder.SWEEP) as file:
                file.write(OmegaConf.to_yaml(self.composed).encode())
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = signal.signal(signal.SIGTERM, _interrupt)
            try:
                yield
            finally:
                signal.signal(signal.SIGTERM, before)

    def checked(self, job: Job) -> TrainConfig:
        """The config of a job. Raises whatever is wrong with it, such as Hydra's errors and UserError."""
        # hydra.sweeper.* and hydra.launcher.* on the command line refer to these groups, so the job needs them too.
        groups = [o for o in self.composed.hydra.overrides.task if o.partition("=")[0] in ("sweep", "launcher")]
        composed = self.loader.load_sweep_config(self.composed, [*groups, *job.overrides])
        with open_dict(composed):
            del composed["hydra"]
        load_plugins(plugins_of(composed))
        config = check(composed, TrainConfig)
        self.refuse(config.trainer)
        return config

    def admit(self, job: Job, *, overwrite: bool = False) -> run_folder.Status:
        """Check a job before it runs, and return its state. A job with a wrong config counts as failed.

        Raises UserError if its folder contains a run with another config, or any run where its own is wrong.
        """
        try:
            config = self.checked(job)
        except Exception as error:
            if run_folder.holds_run(job.folder):
                raise UserError(f"{message(error)}; {shown(job.folder)} holds a run, and stays as it is") from error
            run_folder.note_overrides(job.folder, job.overrides, job.swept)
            run_folder.stop(job.folder, "failed", message(error))
            return run_folder.status(job.folder)
        if overwrite:
            with run_folder.held(job.folder):
                take_back(job.folder)
                run_folder.clear(job.folder)
        else:
            run_folder.refuse_another(job.folder, config)
        run_folder.note_overrides(job.folder, job.overrides, job.swept)
        status = run_folder.status(job.folder)
        return run_folder.Status("not started") if status.state == "failed" else status

    def refuse(self, trainer: TrainerConfig) -> None:
        """Raise UserError if a sweep of this kind cannot use a job with these keys of ``trainer``."""

    def launch(self, jobs: Sequence[Job]) -> None:
        """Run jobs with the launcher, and return when they have ended."""
        self.jobs_launcher.launch([[*job.overrides, f"{FOLDER}={job.name}"] for job in jobs], 0)

    def judged(self, status: run_folder.Status) -> run_folder.Status:
        """The state of a job as this sweep counts it; for a grid, the state of its run."""
        return status

    def conclude(self, jobs: Sequence[Job], before: frozenset[str] = frozenset()) -> list[run_folder.Status]:
        """Show a table of all jobs, and return their states. Raise UserError if any job failed."""
        statuses = [self.judged(run_folder.status(job.folder)) for job in jobs]
        console = get_console()
        console.print(_table(self.dir, jobs, statuses, before))
        for job, status in zip(jobs, statuses, strict=True):
            if status.reason:
                console.print(f"{job.told}: {status.reason}", markup=False, highlight=False, soft_wrap=True)
        failed = [(job, status) for job, status in zip(jobs, statuses, strict=True) if _bad(status)]
        if failed:
            job, status = failed[0]
            raise UserError(f"{len(failed)} of {len(jobs)} jobs failed; {job.name}: {status.reason or status.state}")
        return statuses


def _bad(status: run_folder.Status) -> bool:
    return status.state not in ("finished", "pruned")


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt("by SIGTERM")


def _table(folder: Path, jobs: Sequence[Job], statuses: Sequence[run_folder.Status], before: frozenset[str]) -> Table:
    table = Table(title=escape(shown(folder)), title_justify="left", title_style="bold")
    table.add_column("job", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("val", justify="right", no_wrap=True)
    table.add_column("test bits/dim", justify="right", no_wrap=True)
    for job, status in zip(jobs, statuses, strict=True):
        skipped = job.name in before and status.state == "finished"
        state = "skipped: finished before" if skipped else status.state
        style = {"finished": "green", "failed": "red", "pruned": "yellow"}.get(state, "dim" if skipped else "yellow")
        scores = [(status.metrics or {}).get(f"{split}/bits_per_dim") for split in ("val", "test")]
        numbers = ["" if score is None else f"{score:.4f}" for score in scores]
        table.add_row(escape(job.told), f"[{style}]{state}[/{style}]", *numbers)
    return table


class GridConfig(Section):
    """conf/hydra/sweeper/grid.yaml."""

    params: dict[str, Any] | None


class GridSweeper(JobSweeper):
    """Runs every combination of the comma-separated values. Finished jobs are skipped, unfinished ones are resumed."""

    def __init__(self, **options: Any) -> None:
        self.options = check(OmegaConf.create(options), GridConfig, "hydra.sweeper.")

    def sweep(self, arguments: list[str]) -> None:
        jobs = grid(self.parse(self.options.params, arguments), self.dir)
        with self.opened():
            statuses = [self.admit(job, overwrite=bool(self.composed.overwrite)) for job in jobs]
            todo = [
                job for job, status in zip(jobs, statuses, strict=True) if status.state not in ("finished", "failed")
            ]
            before = frozenset(job.name for job, status in zip(jobs, statuses, strict=True) if status.metrics)
            count = f"{len(jobs)} job{'s' * (len(jobs) > 1)}"
            counts = f"{count}, {len(before)} finished, {len(todo)} to run"
            if refused := [status for status in statuses if status.state == "failed"]:
                counts += f", {len(refused)} refused: {refused[0].reason}"
            get_console().print(f"{shown(self.dir)}: {counts}", highlight=False, markup=False, soft_wrap=True)
            try:
                self.launch(todo)
            except KeyboardInterrupt as interrupt:
                done = sum(run_folder.status(job.folder).state == "finished" for job in jobs)
                raise KeyboardInterrupt(
                    *interrupt.args, f"{done} of {count} finished; {self.same_command} goes on with the rest"
                ) from None
            self.conclude(jobs, before)
