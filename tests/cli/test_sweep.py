"""Sweeps as a user runs them: with jobs that fail, killed at any moment and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from helpers.process import TINY, command, python
from pixelcnn_lit.storage import run_folder

JOBS = ["model.hidden-3", "model.hidden-5", "model.hidden-0"]


def sweep(name, mnist_dir):
    own = ["trainer=cpu", "trainer.max_epochs=5", "model.hidden=3,5,0", "logger=none", f"name={name}", "-m"]
    return [*TINY, f"data.dir={mnist_dir}", *own, "launcher=joblib", "hydra.launcher.n_jobs=2"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, mnist_dir):
    cwd = tmp_path_factory.mktemp("sweep")
    return cwd / "outputs" / "widths", command("train", *sweep("widths", mnist_dir), cwd=cwd)


def test_a_job_that_fails_does_not_stop_the_others(undisturbed):
    folder, result = undisturbed
    assert [run_folder.status(folder / job).state for job in JOBS] == ["finished", "finished", "failed"]
    assert result.returncode == 1
    assert result.stderr == (
        "error: 1 of 3 jobs failed; model.hidden-0: model.hidden=0: must be an integer from 1 to 2048\n"
    )
    table = result.stdout[result.stdout.index("test bits/dim ┃") :]
    for words in ("model.hidden=3", "finished", "model.hidden=0", "failed", "must be an integer"):
        assert words in table
    assert {path.name for path in folder.iterdir()} == {*JOBS, "multirun.yaml", ".lock"}


@pytest.mark.soak  # a minute of processes; test_interrupted.py kills a single run in the suite
def test_killed_at_random_points_it_ends_as_an_undisturbed_one(undisturbed, mnist_dir):
    """SIGKILL to all processes: once two jobs have begun, once one has a checkpoint, and once more at any time."""
    cwd = undisturbed[0].parents[1]
    folder, arguments = cwd / "outputs" / "killed", sweep("killed", mnist_dir)
    chance = random.Random(0)
    for awaited, longest in ((".hydra/config.yaml", 1.0), ("checkpoints/last.ckpt", 0.3), ("checkpoints/last.ckpt", 6)):
        with subprocess.Popen(
            [sys.executable, "-m", "pixelcnn_lit.train", *arguments],
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            while not (folder / JOBS[0] / awaited).exists() and process.poll() is None:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, longest))
            os.killpg(process.pid, signal.SIGKILL)
    begun = [job for job in JOBS if (folder / job / "checkpoints" / "last.ckpt").exists()]
    left = [job for job in begun if not (folder / job / "metrics.json").exists()]
    result = command("train", *arguments, cwd=cwd)
    assert result.returncode == 1
    assert result.stderr == undisturbed[1].stderr
    assert begun
    for job in left:
        assert f"{job} | goes on from" in result.stdout
    for job in set(begun) - set(left):
        assert f"{job} | epoch" not in result.stdout
    for job in JOBS[:2]:
        ours, theirs = (json.loads((where / job / "metrics.json").read_text()) for where in (folder, undisturbed[0]))
        for key in ("test/bits_per_dim", "val/bits_per_dim", "epochs", "params"):
            assert ours[key] == theirs[key]


FINISH_AT_ONCE = """
import json
from pixelcnn_lit.sweeps.launcher import LocalLauncher
from pixelcnn_lit.train import main

def run(self, jobs):
    for job in jobs:
        (job.folder / "metrics.json").write_text(json.dumps({"test/bits_per_dim": 1, "val/bits_per_dim": 1}))

LocalLauncher.run = run
main()
"""


@pytest.fixture
def started(tmp_path):
    """What a sweep does whose jobs finish as soon as they start: its result, and the states of its jobs."""
    (tmp_path / "at_once.py").write_text(FINISH_AT_ONCE)

    def start(*arguments):
        result = python("at_once.py", "-m", "name=it", *arguments, cwd=tmp_path)
        folders = sorted((tmp_path / "outputs" / "it").glob("*[!l]"))
        return result, {folder.name: run_folder.status(folder) for folder in folders if folder.is_dir()}

    return start


@pytest.mark.parametrize(
    ("arguments", "failed", "reason"),
    [
        (["model=gated_pixelcnn,pixelcnn", "model.dilations=[1]"], "model-pixelcnn", "model.dilations: no such key"),
        (["model=pixelcnn,nothing"], "model-nothing", "Could not find 'model/nothing'"),
        (["data=npz,digits", "data.path=a.npz", "data.image_shape=[1,8,8]"], "data-digits", "data.path: no such key"),
        (["data=cifar10", "model=pixelcnn,pixelcnn_pp"], "model-pixelcnn_pp", "images in colour need"),
    ],
)
def test_jobs_that_have_a_key_run_and_those_that_lack_it_fail_in_the_table(started, arguments, failed, reason):
    result, states = started(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: 1 of 2 jobs failed; {failed}: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert {name: status.state for name, status in states.items()} == {
        name: "failed" if name == failed else "finished" for name in states
    }
    assert len(states) == 2


def test_trials_that_lack_a_key_fail_and_the_search_goes_on(started):
    search = ["sweep=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.seed=0"]
    arguments = [*search, "model=gated_pixelcnn,pixelcnn", "model.dilations=[1]"]
    result, states = started(*arguments)
    assert result.returncode == 1
    assert "model.dilations: no such key" in result.stderr
    assert {status.state for status in states.values()} == {"finished", "failed"}
    assert len(states) == 6
    for name, status in states.items():
        assert (status.state == "finished") == name.endswith("model-gated_pixelcnn")


FAIL_IN_THEIR_PROCESS = """
from pixelcnn_lit.sweeps.jobs import Job
from pixelcnn_lit.train import main

arguments = Job.arguments
Job.arguments = lambda job: [*arguments(job), "data.levels=1"]  # refused before torch is imported
main()
"""


@pytest.mark.parametrize("asked", ["0", "1"])
def test_a_job_that_fails_in_its_process_shows_a_traceback_on_request_alone(tmp_path, asked):
    (tmp_path / "failing.py").write_text(FAIL_IN_THEIR_PROCESS)
    result = python("failing.py", "-m", "name=it", "model.n_res=1", cwd=tmp_path, HYDRA_FULL_ERROR=asked)
    assert result.returncode == 1
    assert "data.levels=1: must be an integer from 2 to 256" in result.stdout
    assert ("Traceback" in result.stdout) == ("Traceback" in result.stderr) == (asked == "1")
