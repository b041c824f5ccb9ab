from __future__ import annotations

import shutil

import pytest

from helpers.running import leave
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps import study


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "depth"
    leave(folder / "a", "name=depth", "model.n_res=5", "data.levels=4", bits=0.5, curve=[(1, 0.7), (2, 0.5)])
    leave(folder / "b", "name=depth", "model.n_res=15", "data.levels=4", bits=0.25, curve=[(1, 0.6), (2, 0.25)])
    leave(folder / "c", "name=depth", "model.n_res=5", "data.levels=2", stopped=("failed", "no <memory> [left]"))
    leave(folder / "d", "name=depth", "model.n_res=15", "data.levels=2", curve=[(1, 0.9)])
    return folder


@pytest.fixture
def sweep(finished_sweep, tmp_path):
    """Two levels and two depths, of which one failed and one was interrupted."""
    return shutil.copytree(finished_sweep, tmp_path / "depth")


@pytest.fixture(scope="session")
def seeds(tmp_path_factory):
    """A grid of two depths and two numbers of levels, three seeds of each, one of which failed. Only read it."""
    folder = tmp_path_factory.mktemp("seeds")
    for levels in (2, 4):
        for n_res in (1, 2):
            for seed in range(3):
                bits = levels / 4 + n_res / 10 + seed / 100
                told = [f"model.n_res={n_res}", f"data.levels={levels}", f"seed={seed}"]
                done = (
                    {"bits": bits} if (levels, n_res, seed) != (4, 2, 2) else {"stopped": ("failed", "out of memory")}
                )
                leave(folder / "+".join(told), "name=seeds", *told, **done, curve=[(1, bits + 0.1), (2, bits)])
    return folder


@pytest.fixture(scope="session")
def search(tmp_path_factory):
    """A search of twelve trials, in which the learning rate decides, and one that was pruned. Only read it."""
    folder = tmp_path_factory.mktemp("search")
    known, _ = study.open_study(folder)
    space = {
        "optimizer.lr": study.FloatDistribution(1e-4, 1e-1, log=True),
        "model.hidden": study.IntDistribution(4, 64),
    }
    for number in range(13):
        lr, hidden = 1e-4 * 10 ** (number / 5), 4 + 17 * number % 61
        known.enqueue_trial({"optimizer.lr": lr, "model.hidden": hidden})
        trial = known.ask()
        told = [f"{key}={study.suggest(trial, key, values)}" for key, values in space.items()]
        bits, job = 0.3 + lr, folder / f"{number:03d}"
        ended = {"bits": bits} if number < 12 else {"stopped": ("pruned", "worse than the median")}
        leave(job, "data.levels=2", *told, **ended, curve=[(1, 2 * bits), (2, bits)])
        study.note(job, number, "median")
        study.tell(known, trial, run_folder.status(job))
    return folder
