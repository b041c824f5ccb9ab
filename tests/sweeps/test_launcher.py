from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from hydra.core.utils import JobStatus

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps.jobs import Job
from pixelcnn_lit.sweeps.launcher import LocalLauncher, cores, run_process

BY_ITSELF = "import json, os, pathlib, sys; folder = pathlib.Path(sys.argv[1]); folder.mkdir(exist_ok=True); "
FINISH = BY_ITSELF + "(folder / 'metrics.json').write_text(json.dumps({'test/bits_per_dim': 1, 'val/bits_per_dim': 2}))"


@pytest.fixture
def scripted(monkeypatch):
    """Jobs whose command is a line of Python: the overrides themselves, given the folder."""
    monkeypatch.setattr(
        Job, "command", lambda job, configs=(): [sys.executable, "-c", job.overrides[0], str(job.folder)]
    )


def launcher(folder, n_jobs):
    made = LocalLauncher(n_jobs=n_jobs)
    made.sweep_dir, made.configs = folder, []
    return made


def test_however_a_job_ends_the_others_run_and_its_folder_says_why(tmp_path, scripted, capfd):
    scripts = {
        "killed": BY_ITSELF + "os.kill(os.getpid(), 9)",
        "crashed": BY_ITSELF + "os.kill(os.getpid(), 11)",
        "refused": BY_ITSELF + "sys.exit('error: trainer.precision=5: is invalid')",
        "stopped": BY_ITSELF + "sys.exit(143)",
        "fine": FINISH,
    }
    returned = launcher(tmp_path, 2).launch([[code, f"hydra.sweep.subdir={name}"] for name, code in scripts.items()], 0)
    assert run_folder.status(tmp_path / "killed").reason == "killed by SIGKILL, out of memory?"
    assert run_folder.status(tmp_path / "crashed").reason == "killed by SIGSEGV"
    assert run_folder.status(tmp_path / "refused").reason == "trainer.precision=5: is invalid"
    assert run_folder.status(tmp_path / "stopped").state == "not started"
    assert [job.status for job in returned] == [JobStatus.FAILED] * 4 + [JobStatus.COMPLETED]
    assert returned[-1].return_value == 2
    assert "refused | error: trainer.precision=5: is invalid" in capfd.readouterr().out


def test_jobs_side_by_side_share_the_cores_and_the_gpus(tmp_path, scripted, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    code = BY_ITSELF + (
        "import time; "
        "(folder / 'env').write_text(os.environ['CUDA_VISIBLE_DEVICES'] + ' ' + os.environ['OMP_NUM_THREADS']); "
        "exec('while len(list(folder.parent.glob(\"*/env\"))) < 2: time.sleep(0.02)')"  # each waits for the other
    )
    made = launcher(tmp_path, -1)
    assert made.parallel == 2
    made.launch([[code, f"hydra.sweep.subdir={name}"] for name in "ab"], 0)
    given = [(tmp_path / name / "env").read_text().split() for name in "ab"]
    assert sorted(gpu for gpu, _ in given) == ["4", "7"]
    assert {int(threads) for _, threads in given} == {max(1, cores() // 2)}


def test_a_job_waits_for_the_last_process_of_a_killed_sweep(tmp_path, scripted):
    folder = tmp_path / "job"
    free = threading.Event()

    def last_process():
        with run_folder.held(folder):
            free.wait()
            (folder / "saved").touch()

    other = threading.Thread(target=last_process)
    other.start()
    while not run_folder.locked(folder):
        time.sleep(0.01)
    threading.Timer(0.3, free.set).start()
    job = Job(folder, (BY_ITSELF + "sys.exit(not (folder / 'saved').exists())",))
    assert run_process(job, job.command(), {}) == 0
    other.join()


def test_a_job_that_starts_while_the_sweep_is_stopped_is_ended_too(tmp_path, scripted):
    local = LocalLauncher(n_jobs=1)
    local.stop()
    job = Job(tmp_path / "job", (BY_ITSELF + "import time; time.sleep(60)",))
    start = time.monotonic()
    assert run_process(job, job.command(), {}, started=partial(local._started, job)) == -signal.SIGTERM
    assert time.monotonic() - start < 30


def test_a_sweep_forgets_the_processes_of_its_finished_jobs_and_closes_their_pipes(tmp_path, scripted):
    def open_files():
        return len(list(Path("/dev/fd").iterdir()))

    local = launcher(tmp_path, 2)
    before = open_files()
    local.run([Job(tmp_path / name, (FINISH,)) for name in "abcdef"])
    assert local._running == {}
    assert open_files() == before


def test_a_job_has_a_process_group_of_its_own(tmp_path, scripted):
    job = Job(tmp_path / "job", (BY_ITSELF + "sys.exit(os.getpgrp() != os.getpid())",))
    assert run_process(job, job.command(), {}) == 0


def test_wrong_options_are_named():
    with pytest.raises(UserError, match=r"hydra.launcher.n_jobs='two': must be an integer of at least -1"):
        LocalLauncher(n_jobs="two")


def test_jobs_share_the_cores_of_a_system_that_does_not_say_which_are_free(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores() == 6
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert LocalLauncher(n_jobs=-1).parallel == 6
    assert LocalLauncher(n_jobs=1).parallel == 1
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1
