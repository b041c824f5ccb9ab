"""What can be seen of the launchers without a cluster; make test-slurm has one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

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


def test_jobs_that_are_still_queued_are_awaited_and_not_submitted_again(tmp_path, monkeypatch):
    queue = [{"7_0", "7_1"}, None, {"7_1"}, set()]
    submitted = []
    monkeypatch.setattr(cluster, "_queued", lambda: queue.pop(0))
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0)
    monkeypatch.setattr(cluster.SlurmLauncher, "_submit", lambda self, jobs: submitted.extend(jobs) or {"7_1"})
    launcher = cluster.SlurmLauncher(**OPTIONS)
    launcher.sweep_dir, launcher.configs = tmp_path, []
    old, new = Job(tmp_path / "old", ()), Job(tmp_path / "new", ())
    old.folder.mkdir()
    (old.folder / cluster.SUBMITTED).write_text("7_0")
    (old.folder / "metrics.json").write_text('{"test/bits_per_dim": 1}')
    launcher.run([old, new])
    assert submitted == [new]
    assert queue == []
    assert run_folder.status(old.folder).state == "finished"
    assert run_folder.status(new.folder).state == "failed"
    assert "Slurm ended it" in run_folder.status(new.folder).reason


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
