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

from helpers.process import TINY, command
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
