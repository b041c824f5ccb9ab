"""Submits jobs to Slurm with submitit, and runs a job on a node. This module is imported late, with submitit."""

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
    """Submit jobs as an array with submitit's ``options``. Returns their numbers. Raise UserError if Slurm refuses."""
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
    """A job on a Slurm node: submitit calls it in a process that runs the training and forwards signals to it."""

    job: Job
    command: Sequence[str]
    cwd: str
    running: set[subprocess.Popen[str]] = field(default_factory=set)

    def __call__(self) -> int:
        os.chdir(self.cwd)
        environment = {}
        if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
            # With this name, Lightning itself starts the processes for several devices.
            environment["SLURM_JOB_NAME"] = "interactive"
        # Slurm sends its signals to every process of a step. Only this process handles SIGUSR2.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        code = run_process(self.job, self.command, environment, "", self._started)
        if interrupted(code):  # by SIGTERM; wait for the signal from Slurm that decides about requeueing
            time.sleep(120)
        return code

    def _started(self, process: subprocess.Popen[str]) -> None:
        self.running.add(process)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])

    def checkpoint(self) -> Any:
        """Called by submitit at SIGUSR2, at a timeout or preemption: let the training save and end, then requeue."""
        for process in self.running:
            process.terminate()
        while any(process.poll() is None for process in self.running):
            time.sleep(0.1)
        return DelayedSubmission(OnNode(self.job, self.command, self.cwd))
