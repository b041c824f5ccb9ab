from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest
import torch
from optuna.trial import TrialState, create_trial

from helpers.running import TINY, ScriptedRun
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import Interrupted, Pruned
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps.prune import Prune
from pixelcnn_lit.sweeps.study import note, open_study, tell
from pixelcnn_lit.training.resume import Position


def validated(prune, epoch, bits, done=100):
    """A validation as the callback sees it, after some of the 100 batches of an epoch, of which each 25 have one."""
    trainer = SimpleNamespace(
        callback_metrics={"val/bits_per_dim": torch.tensor(bits)},
        sanity_checking=False,
        state=SimpleNamespace(fn="fit"),
        current_epoch=epoch,
        is_global_zero=True,
        world_size=1,
        num_training_batches=100,
        val_check_batch=25 if done < 100 else 100,
        check_val_every_n_epoch=1,
    )
    prune._position.on_train_batch_end(trainer, None, None, None, done - 1)
    prune.on_validation_end(trainer, None)


def test_a_hopeless_trial_is_pruned_and_told_so(tmp_path):
    study, _ = open_study(tmp_path)
    for _ in range(5):
        trial = study.ask()
        (tmp_path / f"{trial.number}").mkdir()
        note(tmp_path / f"{trial.number}", trial.number, "median")
        for epoch in range(3):
            validated(Prune(tmp_path / f"{trial.number}", Position()), epoch, 1.0 - 0.1 * epoch)
        study.tell(trial, 0.8)
    trial = study.ask()
    note(tmp_path / "job", trial.number, "median")
    prune = Prune(tmp_path / "job", Position())
    validated(prune, 0, 0.97)
    validated(prune, 0, 0.97)
    with pytest.raises(Pruned, match=r"val 0.9500 bits/dim after 2 epochs: the median pruner has no hope"):
        validated(prune, 1, 0.95)
    tell(study, trial, run_folder.Status("pruned"))
    last = study.trials[-1]
    assert last.state == TrialState.PRUNED
    assert last.intermediate_values == pytest.approx({1: 0.97, 2: 0.95})


def begun(folder, pruner, before=()):
    """The next trial of a search, with what it had reported before; its job is in ``job``."""
    study, _ = open_study(folder)
    trial = study.ask()
    for step, bits in before:
        trial.report(bits, step)
    note(folder / "job", trial.number, pruner)
    return study, Prune(folder / "job", Position())


def test_each_validation_of_an_epoch_is_reported_and_judged(tmp_path):
    study, _ = open_study(tmp_path)
    for _ in range(5):
        study.add_trial(create_trial(value=0.3, intermediate_values=dict(enumerate([0.9, 0.5, 0.4, 0.3], 1))))
    study, prune = begun(tmp_path, "median")
    validated(prune, 0, 0.9, done=25)
    validated(prune, 0, 0.5, done=50)
    with pytest.raises(Pruned, match=r"val 0.4500 bits/dim after 0.75 epochs: the median pruner has no hope"):
        validated(prune, 0, 0.45, done=75)
    assert study.trials[-1].intermediate_values == pytest.approx({1: 0.9, 2: 0.5, 3: 0.45})


def test_a_trial_that_an_older_version_began_goes_on(tmp_path):
    study, prune = begun(tmp_path, "median", before=[(1, 0.9), (2, 0.8)])
    validated(prune, 1, 0.7, done=100)
    validated(prune, 2, 0.6, done=100)
    assert study.trials[-1].intermediate_values == pytest.approx({1: 0.9, 2: 0.8, 3: 0.6})


INTERVALS = {
    "inside epochs": ["trainer.val_check_interval=3"],
    "an epoch": [],
    "after accumulated batches": ["trainer.val_check_interval=3", "trainer.accumulate_grad_batches=2"],
    "over epochs": ["trainer.val_check_interval=7", "trainer.check_val_every_n_epoch=null"],
    "every other epoch": ["trainer.check_val_every_n_epoch=2", "callbacks.early_stopping.patience=null"],
}


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("case", INTERVALS)
def test_a_trial_that_is_stopped_and_goes_on_has_each_validation_once(tmp_path, mnist_dir, case):
    config = compose([*TINY, f"data.dir={mnist_dir}", "trainer.max_epochs=4", *INTERVALS[case]])
    found = []
    for moments in ((), (7, 16, 5)):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        study, _ = begun(folder, "none")
        run = ScriptedRun(config, folder / "job")
        for moment in moments:
            with pytest.raises(Interrupted):
                run.go(moment, terminate)
        run.go()
        found.append(study.trials[0].intermediate_values)
    assert found[0] == found[1]
    lines = (tmp_path / "0/job/validation.csv").read_text().splitlines()[1:]
    assert [f"{bits:.6f}" for bits in found[0].values()] == [line.split(",")[2] for line in lines]


@pytest.mark.parametrize(
    ("pruner", "before", "told"), [("median", [], True), ("median", [1.0], False), ("none", [], False)]
)
def test_a_pruner_that_could_not_judge_says_so(tmp_path, capsys, pruner, before, told):
    study, _ = open_study(tmp_path)
    trial = study.ask()
    for epoch, bits in enumerate(before, 1):
        trial.report(bits, epoch)
    note(tmp_path / "job", trial.number, pruner)
    Prune(tmp_path / "job", Position()).on_train_end(SimpleNamespace(is_global_zero=True), None)
    assert ("the median pruner had no validation" in capsys.readouterr().out) == told
