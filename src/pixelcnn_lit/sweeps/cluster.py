"""Jobs on engines that others run: a Slurm cluster, by submitit, or a Ray cluster.

The folders of the jobs have to be on a disk that all machines share, as do the code and its environment.
"""

from __future__ import annotations

import getpass
import logging
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from omegaconf import OmegaConf
from pydantic import Field

from pixelcnn_lit.config import Count, Section, check
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.sweeps.jobs import Job
from pixelcnn_lit.sweeps.launcher import JobLauncher, interrupted, run_process

SUBMITTED = ".slurm_job"
"""In a job's folder: its number in Slurm."""
POLL_SECONDS = 2.0


@dataclass
class OnNode:
    """A job as Slurm runs it, in a process that submitit starts: it keeps the training and hands signals on to it."""

    job: Job
    command: Sequence[str]
    cwd: str
    running: set[subprocess.Popen[str]] = field(default_factory=set)

    def __call__(self) -> int:
        os.chdir(self.cwd)
        environment = {}
        if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
            # The name by which Lightning knows that the processes of several devices are for it to start.
            environment["SLURM_JOB_NAME"] = "interactive"
        # Slurm sends its signals to every process of a step. This one alone answers to SIGUSR2.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        code = run_process(self.job, self.command, environment, "", self.running, started=_unblock)
        if interrupted(code):  # by SIGTERM, which Slurm sends before what says whether to requeue
            time.sleep(120)
        return code

    def checkpoint(self) -> Any:
        """What submitit calls at SIGUSR2, when time is up or the job has to make place: save, end, and queue again."""
        from submitit.helpers import DelayedSubmission

        for process in self.running:
            process.terminate()
        while any(process.poll() is None for process in self.running):
            time.sleep(0.1)
        return DelayedSubmission(OnNode(self.job, self.command, self.cwd))


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])


class SlurmConfig(Section):
    """conf/hydra/launcher/slurm.yaml, by submitit's names."""

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
    """One Slurm job a job, together an array. A sweep that is started again waits for those that are still queued."""

    def __init__(self, **options: Any) -> None:
        self.options = check(OmegaConf.create(options), SlurmConfig, "hydra.launcher.")
        self.parallel = self.options.array_parallelism

    def run(self, jobs: Sequence[Job]) -> None:
        queued = _queued() or set()
        numbers = {job: _number(job) for job in jobs}
        new = [job for job in jobs if numbers[job] not in queued]
        waiting = {number for number in numbers.values() if number in queued}
        if new:
            waiting |= self._submit(new)
        print(
            f"{shown(self.sweep_dir)}: waiting for {len(waiting)} jobs of Slurm: {' '.join(sorted(waiting))}",
            flush=True,
        )
        while waiting:
            time.sleep(POLL_SECONDS)
            queued_now = _queued()
            if queued_now is not None:  # None: Slurm does not answer, for now
                waiting &= queued_now
        for job in jobs:
            (job.folder / SUBMITTED).unlink(missing_ok=True)
            if run_folder.status(job.folder).state in ("not started", "interrupted"):
                run_folder.stop(job.folder, "failed", f"Slurm ended it; its log is in {shown(self._logs())}")

    def _submit(self, jobs: Sequence[Job]) -> set[str]:
        import submitit

        try:
            executor = submitit.SlurmExecutor(folder=self._logs() / "%A", max_num_timeout=10_000)
        except RuntimeError as error:
            raise UserError(f"hydra/launcher=slurm: no Slurm here ({error})") from error
        options = self.options.model_dump(exclude_none=True) | {"job_name": self.sweep_dir.name}
        options["time"] = options.pop("timeout_min")
        options["ntasks_per_node"] = options.pop("tasks_per_node")
        if "mem_gb" in options:
            options["mem"] = f"{int(options.pop('mem_gb') * 1024)}M"
        executor.update_parameters(**options, stderr_to_stdout=True)
        try:
            with executor.batch():
                submitted = [executor.submit(OnNode(job, job.command(self.configs), str(Path.cwd()))) for job in jobs]
        except submitit.core.utils.FailedJobError as error:
            raise UserError(f"hydra/launcher=slurm: {' '.join(str(error).split())}") from error
        for job, entry in zip(jobs, submitted, strict=True):
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / SUBMITTED).write_text(entry.job_id)
        return {entry.job_id for entry in submitted}

    def _logs(self) -> Path:
        return self.sweep_dir / ".slurm"


def _number(job: Job) -> str:
    try:
        return (job.folder / SUBMITTED).read_text().strip()
    except OSError:
        return ""


def _queued() -> set[str] | None:
    """The numbers of all jobs of this user that wait, run or end; None where Slurm does not say."""
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
    """One Ray task a job, with its cores and GPUs; Ray starts it again where a machine is lost, and it goes on."""

    def __init__(self, **options: Any) -> None:
        self.options = check(options, RayConfig, "hydra.launcher.")
        try:
            import ray
        except ImportError as error:
            raise UserError("hydra/launcher=ray: needs ray; pip install 'pixelcnn-lit[ray]'") from error
        if not ray.is_initialized():
            try:
                ray.init(address=self.options.address, include_dashboard=False, logging_level=logging.ERROR)
            except ConnectionError as error:
                raise UserError(f"hydra.launcher.address={self.options.address}: {error}") from error
        there, each = ray.cluster_resources(), self.options
        places = [there.get("CPU", 0) / each.num_cpus]
        if each.num_gpus:
            places.append(there.get("GPU", 0) / each.num_gpus)
        self.parallel = max(1, int(min(places)))
        self._tasks: list[Any] = []

    def run(self, jobs: Sequence[Job]) -> None:
        import ray

        task = ray.remote(num_cpus=self.options.num_cpus, num_gpus=self.options.num_gpus, max_retries=3)(_in_a_task)
        threads = {"OMP_NUM_THREADS": str(max(1, int(self.options.num_cpus)))}
        started = [task.remote(job, job.command(self.configs), threads, str(Path.cwd())) for job in jobs]
        self._tasks += started
        for job, reference in zip(jobs, started, strict=True):
            try:
                ray.get(reference)
            except ray.exceptions.TaskCancelledError:
                continue
            except ray.exceptions.RayError as error:
                run_folder.stop(job.folder, "failed", f"Ray: {str(error).strip().splitlines()[-1]}")

    def stop(self) -> None:
        import ray

        for reference in self._tasks:
            ray.cancel(reference)


def _in_a_task(job: Job, command: Sequence[str], environment: dict[str, str], cwd: str) -> int:
    os.chdir(cwd)
    return run_process(job, command, environment, f"{job.name} | ")
