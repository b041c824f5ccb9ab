"""What can be seen of the launchers without a cluster; make test-slurm has one."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps import cluster
from pixelcnn_lit.sweeps.jobs import Job

OPTIONS = {
    "timeout_min": 60,
    "partition": None,
    "cpus_per_task": 1,
    "gpus_per_node": None,
    "mem_gb": None,
    "nodes": 1,
    "tasks_per_node": 1,
    "array_parallelism": 4,
    "signal_delay_s": 90,
    "setup": None,
    "additional_parameters": None,
}

NODE = """
import signal, sys
from pathlib import Path
from pixelcnn_lit.sweeps.slurm import OnNode
from pixelcnn_lit.sweeps.jobs import Job

train = "import signal, sys, time; from pathlib import Path; folder = Path(sys.argv[1]); folder.mkdir(); " \\
    "signal.signal(signal.SIGTERM, lambda *_: ((folder / 'saved').touch(), sys.exit(143))); " \\
    "(folder / 'ready').touch(); time.sleep(60)"
folder = Path(sys.argv[1])
node = OnNode(Job(folder, ()), [sys.executable, "-c", train, str(folder)], ".")

def requeue(*_):
    again = node.checkpoint().function
    print("requeued", again.job.folder == folder, len(again.running))
    sys.exit(0)

signal.signal(signal.SIGUSR2, requeue)
node()
"""


def test_at_the_signal_of_slurm_a_job_saves_ends_and_is_queued_again(tmp_path):
    folder = tmp_path / "job"
    node = subprocess.Popen([sys.executable, "-c", NODE, folder], stdout=subprocess.PIPE, start_new_session=True)
    while not (folder / "ready").exists():
        time.sleep(0.02)
    os.killpg(node.pid, signal.SIGUSR2)  # to every process of the step, as Slurm does
    output, _ = node.communicate(timeout=30)
    assert output == b"requeued True 0\n"
    assert (folder / "saved").exists()
    assert run_folder.status(folder).state == "not started"


@pytest.fixture
def submitted(monkeypatch):
    """The jobs that were submitted, as 7_1, to a Slurm that is not there."""
    jobs = []
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0)
    monkeypatch.setattr(cluster.SlurmLauncher, "_submit", lambda self, new: jobs.extend(new) or {"7_1"})
    return jobs


def launcher_in(folder):
    launcher = cluster.SlurmLauncher(**OPTIONS)
    launcher.sweep_dir, launcher.configs = folder, []
    return launcher


def job_of_before(folder):
    """A job that an earlier start of the sweep has submitted."""
    job = Job(folder, ())
    job.folder.mkdir()
    (job.folder / cluster.SUBMITTED).write_text("7_0")
    return job


@pytest.mark.parametrize("silent", [0, 2])
def test_jobs_that_are_still_queued_are_awaited_and_not_submitted_again(tmp_path, monkeypatch, submitted, silent):
    queue = [*[None] * silent, {"7_0", "7_1"}, None, {"7_1"}, set()]
    monkeypatch.setattr(cluster, "_queued", lambda: queue.pop(0))
    old, new = job_of_before(tmp_path / "old"), Job(tmp_path / "new", ())
    (old.folder / "metrics.json").write_text('{"test/bits_per_dim": 1}')
    launcher_in(tmp_path).run([old, new])
    assert submitted == [new]
    assert queue == []
    assert run_folder.status(old.folder).state == "finished"
    assert run_folder.status(new.folder).state == "failed"
    assert "Slurm ended it" in run_folder.status(new.folder).reason


def test_nothing_is_submitted_to_a_slurm_that_does_not_answer(tmp_path, monkeypatch, submitted, capsys):
    monkeypatch.setattr(cluster, "_queued", lambda: None)
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 0.01)
    job = job_of_before(tmp_path / "job")
    with pytest.raises(UserError, match="hydra/launcher=slurm: squeue does not answer; start again when Slurm does"):
        launcher_in(tmp_path).run([job])
    assert capsys.readouterr().out.count("squeue does not answer") == 1
    assert submitted == []
    assert (job.folder / cluster.SUBMITTED).read_text() == "7_0"


@pytest.mark.parametrize("queue", [{"7_0"}, None])
def test_a_search_that_is_stopped_waits_for_its_jobs_no_more_and_leaves_them_queued(
    tmp_path, monkeypatch, submitted, queue
):
    asked = threading.Event()
    monkeypatch.setattr(cluster, "_queued", lambda: asked.set() or queue)
    launcher, job = launcher_in(tmp_path), job_of_before(tmp_path / "job")
    waiting = threading.Thread(target=launcher.run, args=([job],), daemon=True)
    waiting.start()
    assert asked.wait(10)
    launcher.stop()
    waiting.join(10)
    assert not waiting.is_alive()
    launcher.run([Job(tmp_path / "new", ())])
    assert submitted == []
    assert (job.folder / cluster.SUBMITTED).read_text() == "7_0"
    assert run_folder.status(job.folder).state == "not started"


@pytest.fixture
def cancelled(tmp_path, monkeypatch):
    """The file of the words that scancel got; it refuses job 7_9."""
    told, program = tmp_path / "cancelled", tmp_path / "bin" / "scancel"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = 7_9 ] && {{ echo no power >&2; exit 1; }}\necho "$@" >> {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(cluster, "_queued", lambda: {"7_0", "7_9"})
    return told


def test_a_job_that_is_still_queued_is_cancelled_before_its_run_is_deleted(tmp_path, monkeypatch, cancelled):
    for name, number in (("queued", "7_0"), ("gone", "7_5"), ("held", "7_9")):
        (job_of_before(tmp_path / name).folder / cluster.SUBMITTED).write_text(number)
    for name in ("queued", "gone", "new"):
        cluster.take_back(tmp_path / name)
        assert not (tmp_path / name / cluster.SUBMITTED).exists()
    assert cancelled.read_text() == "7_0\n"
    with pytest.raises(UserError, match="held: its Slurm job 7_9 cannot be cancelled: no power"):
        cluster.take_back(tmp_path / "held")
    monkeypatch.setattr(cluster, "_queued", lambda: None)
    with pytest.raises(UserError, match="held: its Slurm job 7_9 may be queued, and squeue does not answer"):
        cluster.take_back(tmp_path / "held")
    assert (tmp_path / "held" / cluster.SUBMITTED).read_text() == "7_9"


def test_ray_starts_no_task_after_the_end(monkeypatch):
    started = []
    remote = SimpleNamespace(remote=lambda *given: started.append(given))
    ray = SimpleNamespace(
        is_initialized=lambda: True,
        cluster_resources=lambda: {"CPU": 4},
        remote=lambda **options: lambda function: remote,
        cancel=lambda reference: None,
        get=lambda reference: None,
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    sys.modules.pop("pixelcnn_lit.sweeps.ray_cluster", None)
    tasks = importlib.import_module("pixelcnn_lit.sweeps.ray_cluster").RayTasks(None, 2, 0)
    del sys.modules["pixelcnn_lit.sweeps.ray_cluster"]  # with a ray that is none
    job = Job(Path("job"), ())
    tasks.run([job], [])
    tasks.stop()
    tasks.run([job], [])
    assert (tasks.parallel, len(started)) == (2, 1)


def test_a_machine_without_slurm_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    launcher = cluster.SlurmLauncher(**OPTIONS)
    launcher.sweep_dir = tmp_path
    with pytest.raises(UserError, match="hydra/launcher=slurm: no Slurm here"):
        launcher.run([Job(tmp_path / "job", ())])
    with pytest.raises(UserError, match=r"hydra.launcher.timeout_min=0: must be an integer of at least 1"):
        cluster.SlurmLauncher(**OPTIONS | {"timeout_min": 0})


def test_ray_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"hydra/launcher=ray: needs ray; pip install 'pixelcnn-lit\[ray\]'"):
        cluster.RayLauncher(address=None, num_cpus=1, num_gpus=0)
