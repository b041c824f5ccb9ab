"""A run that is stopped anywhere and started again ends as if nothing had been."""

from __future__ import annotations

import os
import random
import signal

import pytest
import torch

from helpers.running import TINY, ScriptedRun
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import Interrupted
from pixelcnn_lit.storage import checkpoint


class Killed(BaseException):
    pass


def survive(run, story):
    """Go on after each of the deaths."""
    for moment, way in story:
        with pytest.raises((Killed, Interrupted)):
            run.go(moment, way)
    run.go()


def kill():
    raise Killed


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No power cut is simulated here: waiting for the disk would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def state(folder):
    """All that is in the last and the best checkpoint but times and places."""
    contents = []
    for name in ("last.ckpt", "best.ckpt"):
        content = checkpoint.read(folder / "checkpoints" / name)[1]
        del content["callbacks"]["Throughput"], content[checkpoint.KEY]["config"]["checkpoint"]
        for key, value in content["callbacks"].items():
            if key.startswith("ModelCheckpoint"):
                content["callbacks"][key] = {"score": value["best_model_score"]}
        contents.append(content)
    return contents


def differences(a, b, where=""):
    if isinstance(a, dict) and isinstance(b, dict):
        keys = a.keys() | b.keys()
        return [d for key in keys for d in differences(a.get(key), b.get(key), f"{where}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{where}[{i}]")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b
    return [] if same else [f"{where}: {a} / {b}"]


CASES = {
    "plain": [],
    "validations inside epochs": ["trainer.val_check_interval=0.5"],
    "epochs without validation": ["trainer.check_val_every_n_epoch=2", "callbacks.early_stopping.patience=null"],
    "accumulation": ["trainer.accumulate_grad_batches=3"],
    "no validation": ["trainer.limit_val_batches=0", "callbacks.early_stopping.patience=null"],
    "steps": ["trainer.max_steps=29", "trainer.max_epochs=null"],
    "early stop": ["optimizer.lr=0.5", "callbacks.early_stopping.patience=1", "callbacks.ema.decay=null"],
    "redrawn images": ["data.binarize=dynamic"],
}


def check(case, mnist_dir, folder, stories):
    """Each story, a list of (moment, way to go), ends in the checkpoints of an undisturbed run."""
    config = compose([*TINY, f"data.dir={mnist_dir}", *CASES[case]])
    whole = ScriptedRun(config, folder / "whole")
    whole.go()
    for number, story in enumerate(stories(whole.script.seen)):
        run = ScriptedRun(config, folder / str(number), every_minutes=1e-9 if number % 2 else None)
        survive(run, story)
        assert differences(state(whole.folder), state(run.folder)) == [], story


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_dies_and_goes_on_ends_as_if_nothing_had_been(case, mnist_dir, tmp_path):
    rng = random.Random(case)
    check(case, mnist_dir, tmp_path, lambda total: [[(rng.randrange(9), terminate), (rng.randrange(4, 13), kill)]] * 2)


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES)
def test_a_run_may_die_at_any_moment(case, mnist_dir, tmp_path):
    ways = (kill, kill, terminate)
    check(case, mnist_dir, tmp_path, lambda total: [[(moment, way)] for moment in range(total) for way in ways])
