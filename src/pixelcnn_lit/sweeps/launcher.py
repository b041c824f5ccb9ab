"""Runs jobs: each is its own process, ``python -m pixelcnn_lit.train``.

So a job that is killed, runs out of memory or breaks a GPU's context does not affect other jobs, and its memory is
freed. A job may start further processes (ddp), and a user can run its command again by itself.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from pydantic import Field

from pixelcnn_lit.config import Section, check
from pixelcnn_lit.config.composition import further_folders
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps.jobs import Job
from pixelcnn_lit.sweeps.parent import PARENT


class JobError(Exception):
    """A job has no result. The message says why."""


class JobLauncher(Launcher):
    """A Hydra launcher whose jobs are commands. It returns when all jobs have ended, successfully or not."""

    parallel: int = 1
    """How many jobs may run side by side."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.sweep_dir = Path(config.hydra.sweep.dir)
        self.configs = further_folders(hydra_context.config_loader.get_search_path().get_path())

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        key = "hydra.sweep.subdir="
        jobs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            folder = next((o.removeprefix(key) for o in overrides if o.startswith(key)), str(number))
            jobs.append(Job(self.sweep_dir / folder, tuple(o for o in overrides if not o.startswith(key))))
        self.run(jobs)
        return [_returned(job) for job in jobs]

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs. Several threads may call this at the same time."""
        raise NotImplementedError

    def stop(self) -> None:
        """Tell the running jobs on this machine to save and end, start no more, and let each :meth:`run` return."""


def _returned(job: Job) -> JobReturn:
    status = run_folder.status(job.folder)
    value = JobError(status.reason or status.state) if status.metrics is None else status.metrics["val/bits_per_dim"]
    done = JobStatus.FAILED if status.metrics is None else JobStatus.COMPLETED
    return JobReturn(overrides=job.overrides, status=done, _return_value=value)


class LocalConfig(Section):
    """conf/hydra/launcher/local.yaml and joblib.yaml."""

    n_jobs: Annotated[int, Field(ge=-1)]


class LocalLauncher(JobLauncher):
    """Runs ``n_jobs`` jobs in parallel on this machine; -1: one per GPU, or without a GPU one per core.

    Parallel jobs share the cores equally, and each gets one GPU if there are any.
    """

    def __init__(self, **options: Any) -> None:
        n_jobs = check(options, LocalConfig, "hydra.launcher.").n_jobs
        gpus = _gpus() if n_jobs != 1 else []
        n_cores = cores()
        self.parallel = n_jobs if n_jobs > 0 else len(gpus) or n_cores
        self._slots: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for slot in range(self.parallel):
            share: dict[str, str] = {}
            if self.parallel > 1:
                share["OMP_NUM_THREADS"] = str(max(1, n_cores // self.parallel))
                if gpus:
                    share["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
            self._slots.put(share)
        self._running: dict[Path, subprocess.Popen[str]] = {}
        self._stopping = threading.Event()

    def run(self, jobs: Sequence[Job]) -> None:
        with ThreadPoolExecutor(self.parallel) as pool:
            try:
                futures = [pool.submit(self._in_a_slot, job) for job in jobs]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            except KeyboardInterrupt:
                self.stop()
                raise
            for future in done:
                future.result()

    def stop(self) -> None:
        self._stopping.set()
        for process in list(self._running.values()):
            with contextlib.suppress(OSError):
                process.terminate()

    def _in_a_slot(self, job: Job) -> None:
        share = self._slots.get()
        try:
            if not self._stopping.is_set():
                prefix = f"{job.name} | " if self.parallel > 1 else ""
                run_process(job, job.command(self.configs), share, prefix, partial(self._started, job))
        finally:
            self._running.pop(job.folder, None)  # with its pipes, of which a process may have open so many
            self._slots.put(share)

    def _started(self, job: Job, process: subprocess.Popen[str]) -> None:
        self._running[job.folder] = process
        # Looked at after: stop() may have come between the start of the process and this line.
        if self._stopping.is_set():
            process.terminate()


def cores() -> int:
    """The number of cores that this process may use; on macOS, which does not say that, the number of all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu.strip()]
    # Imported here: PyTorch takes seconds to import, and only parallel jobs need it.
    return [str(index) for index in range(imported("torch.cuda:device_count")())]


def run_process(
    job: Job,
    command: Sequence[str],
    environment: Mapping[str, str],
    prefix: str = "",
    started: Callable[[subprocess.Popen[str]], None] = lambda process: None,
) -> int:
    """Run a job as a child process, forward its output, record in its folder how it ended, return its exit status.

    It has a process group of its own, so that Ctrl-C reaches it only through the sweep, and never while it starts.
    """
    if run_folder.rank() == 0:
        wait_for_the_folder(job.folder)
    process = subprocess.Popen(
        command,
        env={**os.environ, PARENT: str(os.getpid()), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if prefix else None,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
    )
    started(process)
    last: list[str] = []
    readers = [
        threading.Thread(target=_pass_on, args=(stream, prefix, last), daemon=True)
        for stream in (process.stdout, process.stderr)
        if stream is not None
    ]
    for reader in readers:
        reader.start()
    while (code := process.poll()) is None:  # not wait(): a signal handler could not poll the process then
        time.sleep(0.05)
    for reader in readers:
        reader.join(timeout=5)
    if run_folder.rank() == 0:
        note_the_end(job.folder, code, last[-1] if last else "")
    return code


def wait_for_the_folder(folder: Path, seconds: float = 60) -> None:
    """Wait until the process of a killed sweep has saved its state and released the folder."""
    end = time.monotonic() + seconds
    while run_folder.locked(folder) and time.monotonic() < end:
        time.sleep(0.2)


def _pass_on(stream: IO[str], prefix: str, last: list[str]) -> None:
    for line in stream:
        last[:] = [line.strip()] if line.strip() else last
        sys.stdout.write(prefix + line)
        sys.stdout.flush()


def interrupted(code: int) -> bool:
    """Whether the exit status of a process says that SIGINT or SIGTERM ended it, so that it can be resumed."""
    return code in (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)


def note_the_end(folder: Path, code: int, last: str) -> None:
    """Record in ``folder`` why a process ended, if the process could not do it itself."""
    if code == 0 or interrupted(code) or run_folder.status(folder).state in ("finished", "failed", "pruned", "running"):
        return
    if code < 0:
        reason = f"killed by {signal.Signals(-code).name}" + (", out of memory?" if code == -signal.SIGKILL else "")
    else:
        reason = last.removeprefix("error: ") or f"ended with status {code}"
    run_folder.stop(folder, "failed", reason)
