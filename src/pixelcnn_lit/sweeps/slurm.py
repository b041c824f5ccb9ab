"""Handing jobs to Slurm by submitit, and a job as it runs there. Imported when jobs are submitted."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit
from submitit.helpers import DelayedSubmission

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.sweeps.jobs import Job
from pixelcnn_lit.sweeps.launcher import interrupted, run_process


def submit(jobs: Sequence[Job], configs: Sequence[str], logs: Path, options: Mapping[str, Any]) -> list[str]:
    """Submit jobs as an array, with submitit's ``options``. Gives their numbers. Raise UserError if Slurm refuses."""
    try:
        executor = submitit.SlurmExecutor(folder=logs / "%A", max_num_timeout=10_000)
    except RuntimeError as error:
        raise UserError(f"hydra/launcher=slurm: no Slurm here ({error})") from error
    executor.update_parameters(**options, stderr_to_stdout=True)
    try:
        with executor.batch():
            submitted = [executor.submit(OnNode(job, job.command(configs), str(Path.cwd()))) for job in jobs]
    except submitit.core.utils.FailedJobError as error:
        raise UserError(f"hydra/launcher=slurm: {' '.join(str(error).split())}") from error
    return [entry.job_id for entry in submitted]


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
        for process in self.running:
            process.terminate()
        while any(process.poll() is None for process in self.running):
            time.sleep(0.1)
        return DelayedSubmission(OnNode(self.job, self.command, self.cwd))


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
