"""Runs jobs as tasks of a Ray cluster. This module is imported late, because ray may not be installed."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps.jobs import Job
from pixelcnn_lit.sweeps.launcher import run_process


class RayTasks:
    """The Ray tasks of a sweep, each with its cores and GPUs, on the cluster at ``address`` or a new local one."""

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float) -> None:
        """Connect to the cluster. Raise UserError if there is none at ``address``."""
        if not ray.is_initialized():
            try:
                ray.init(address=address, include_dashboard=False, logging_level=logging.ERROR)
            except ConnectionError as error:
                raise UserError(f"hydra.launcher.address={address}: {error}") from error
        there = ray.cluster_resources()
        places = [there.get("CPU", 0) / num_cpus]
        if num_gpus:
            places.append(there.get("GPU", 0) / num_gpus)
        self.parallel = max(1, int(min(places)))
        self._num_cpus, self._num_gpus = num_cpus, num_gpus
        self._tasks: list[Any] = []
        self._stopped, self._lock = False, threading.Lock()

    def run(self, jobs: Sequence[Job], configs: Sequence[str]) -> None:
        """Run jobs and wait for them. Ray restarts a job if its machine is lost."""
        task = ray.remote(num_cpus=self._num_cpus, num_gpus=self._num_gpus, max_retries=3)(_in_a_task)
        threads = {"OMP_NUM_THREADS": str(max(1, int(self._num_cpus)))}
        with self._lock:  # after stop() there is nobody to cancel a task
            if self._stopped:
                return
            started = [task.remote(job, job.command(configs), threads, str(Path.cwd())) for job in jobs]
            self._tasks += started
        for job, reference in zip(jobs, started, strict=True):
            try:
                ray.get(reference)
            except ray.exceptions.TaskCancelledError:
                continue
            except ray.exceptions.RayError as error:
                run_folder.stop(job.folder, "failed", f"Ray: {str(error).strip().splitlines()[-1]}")

    def stop(self) -> None:
        """Cancel all tasks, and start no more."""
        with self._lock:
            self._stopped = True
        for reference in self._tasks:
            ray.cancel(reference)


def _in_a_task(job: Job, command: Sequence[str], environment: dict[str, str], cwd: str) -> int:
    os.chdir(cwd)
    return run_process(job, command, environment, f"{job.name} | ")
