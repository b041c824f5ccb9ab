"""Launchers for clusters: Slurm, with submitit, and Ray.

All machines must share a disk with the folders of the jobs, the code and its environment.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from omegaconf import OmegaConf
from pydantic import Field

from pixelcnn_lit import messages
from pixelcnn_lit.config import Count, Section, check
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.sweeps.jobs import Job
from pixelcnn_lit.sweeps.launcher import JobLauncher

SUBMITTED = ".slurm_job"
"""The file in a job's folder with its Slurm job number."""
POLL_SECONDS = 2.0
PATIENCE_SECONDS = 600.0
"""For how long Slurm may give no answer before anything is submitted."""


class SlurmConfig(Section):
    """conf/hydra/launcher/slurm.yaml, with submitit's names."""

    timeout_min: Count
    partition: str | None
    cpus_per_task: Count | None
    gpus_per_node: Count | None
    mem_gb: Annotated[float, Field(gt=0)] | None
    nodes: Count
    tasks_per_node: Count
    array_parallelism: Count
    signal_delay_s: Count
    setup: list[str] | None
    additional_parameters: dict[str, Any] | None


class SlurmLauncher(JobLauncher):
    """One Slurm job per job, all in one array. A restarted sweep waits for jobs that are still queued."""

    def __init__(self, **options: Any) -> None:
        self.options = check(OmegaConf.create(options), SlurmConfig, "hydra.launcher.")
        self.parallel = self.options.array_parallelism
        self._stopping = threading.Event()

    def run(self, jobs: Sequence[Job]) -> None:
        queued = self._answered()
        if self._stopping.is_set():
            return
        numbers = {job: _number(job.folder) for job in jobs}
        new = [job for job in jobs if numbers[job] not in queued]
        waiting = {number for number in numbers.values() if number in queued}
        if new:
            waiting |= self._submit(new)
        print(
            f"{shown(self.sweep_dir)}: waiting for {len(waiting)} jobs of Slurm: {' '.join(sorted(waiting))}",
            flush=True,
        )
        while waiting and not self._stopping.wait(POLL_SECONDS):
            queued_now = _queued()
            if queued_now is not None:  # None: Slurm does not answer now
                waiting &= queued_now
        if self._stopping.is_set():
            return
        for job in jobs:
            (job.folder / SUBMITTED).unlink(missing_ok=True)
            if run_folder.status(job.folder).state in ("not started", "interrupted"):
                run_folder.stop(job.folder, "failed", f"Slurm ended it; its log is in {shown(self._logs())}")

    def stop(self) -> None:
        """Wait for jobs no more. They stay in the queue, where a restarted sweep finds them."""
        self._stopping.set()

    def _answered(self) -> set[str]:
        """What :func:`_queued` gives once Slurm answers, or nothing after :meth:`stop`.

        Without the answer, jobs that are still queued would be submitted again. So it raises UserError if there is none
        for PATIENCE_SECONDS.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        if (queued := _queued()) is None:
            messages.say(f"squeue does not answer; it is asked for {PATIENCE_SECONDS / 60:.3g} minutes more")
        while queued is None and not self._stopping.wait(POLL_SECONDS):
            if time.monotonic() > end:
                raise UserError("hydra/launcher=slurm: squeue does not answer; start again when Slurm does")
            queued = _queued()
        return queued or set()

    def _submit(self, jobs: Sequence[Job]) -> set[str]:
        options = self.options.model_dump(exclude_none=True) | {"job_name": self.sweep_dir.name}
        options["time"] = options.pop("timeout_min")
        options["ntasks_per_node"] = options.pop("tasks_per_node")
        if "mem_gb" in options:
            options["mem"] = f"{int(options.pop('mem_gb') * 1024)}M"
        # Imported here: Hydra imports this module for --help, which does not need submitit.
        numbers = imported("pixelcnn_lit.sweeps.slurm:submit")(jobs, self.configs, self._logs(), options)
        for job, number in zip(jobs, numbers, strict=True):
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / SUBMITTED).write_text(number)
        return set(numbers)

    def _logs(self) -> Path:
        return self.sweep_dir / ".slurm"


def take_back(folder: Path) -> None:
    """Cancel the Slurm job that waits for a folder whose run is deleted: it would run what was asked before.

    Raises UserError if Slurm does not answer, or does not cancel it.
    """
    number = _number(folder)
    if number and shutil.which("scancel"):
        queued = _queued()
        if queued is None:
            raise UserError(f"{shown(folder)}: its Slurm job {number} may be queued, and squeue does not answer")
        if number in queued:
            done = subprocess.run(["scancel", number], capture_output=True, text=True)
            if done.returncode:
                raise UserError(f"{shown(folder)}: its Slurm job {number} cannot be cancelled: {done.stderr.strip()}")
    (folder / SUBMITTED).unlink(missing_ok=True)


def _number(folder: Path) -> str:
    """The Slurm job that was submitted for a folder; empty if none was."""
    try:
        return (folder / SUBMITTED).read_text().strip()
    except OSError:
        return ""


def _queued() -> set[str] | None:
    """The numbers of all jobs of this user in Slurm's queue, running ones included; None if Slurm does not answer."""
    command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i"]
    try:
        return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())
    except FileNotFoundError:
        raise UserError("hydra/launcher=slurm: no Slurm here: there is no command squeue") from None
    except subprocess.SubprocessError:
        return None


class RayConfig(Section):
    """conf/hydra/launcher/ray.yaml."""

    address: str | None
    num_cpus: Annotated[float, Field(gt=0)]
    num_gpus: Annotated[float, Field(ge=0)]


class RayLauncher(JobLauncher):
    """One Ray task per job, with its cores and GPUs. If a machine is lost, Ray restarts the task, which resumes."""

    def __init__(self, **options: Any) -> None:
        self.options = check(options, RayConfig, "hydra.launcher.")
        try:
            # Imported here: ray is optional, and Hydra imports this module for --help.
            tasks = imported("pixelcnn_lit.sweeps.ray_cluster:RayTasks")
        except ImportError as error:
            raise UserError("hydra/launcher=ray: needs ray; pip install 'pixelcnn-lit[ray]'") from error
        self._tasks = tasks(self.options.address, self.options.num_cpus, self.options.num_gpus)
        self.parallel = self._tasks.parallel

    def run(self, jobs: Sequence[Job]) -> None:
        self._tasks.run(jobs, self.configs)

    def stop(self) -> None:
        self._tasks.stop()
