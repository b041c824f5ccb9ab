"""A run that is stopped anywhere and started again ends as if nothing had been."""

from __future__ import annotations

import os
import random
import re
import signal

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from helpers.running import CODED, TINY, ScriptedRun, differences, state
from pixelcnn_lit.config import compose, compose_vqvae
from pixelcnn_lit.errors import Interrupted, UserError
from pixelcnn_lit.reporting.collect import validations
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training.run import Run


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
    # Code with changes that are not committed is other code each time, which checkpoints say.
    monkeypatch.setattr("pixelcnn_lit.training.base_run.git_revision", lambda: "abc")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


CASES = {
    "plain": [],
    "validations inside epochs": ["trainer.val_check_interval=0.5"],
    "epochs without validation": ["trainer.check_val_every_n_epoch=2", "callbacks.early_stopping.patience=null"],
    "accumulation": ["trainer.accumulate_grad_batches=3"],
    "no validation": ["trainer.limit_val_batches=0", "callbacks.early_stopping.patience=null"],
    "steps": ["trainer.max_steps=29", "trainer.max_epochs=null"],
    "early stop": ["optimizer.lr=0.5", "callbacks.early_stopping.patience=1", "callbacks.ema.decay=null"],
    "redrawn images": ["data.binarize=dynamic"],
    "drawn scans": ["model.orders=4", "optimizer=muon"],
    "drawn orders and holes": ["model=lmconv"],
    "autoencoder": [],
}


def check(case, mnist_dir, folder, stories):
    """Each story, a list of (moment, way to go), ends in the checkpoints of an undisturbed run."""
    place = f"data.dir={mnist_dir}"
    coded = case == "autoencoder"
    config = compose_vqvae([*CODED, place]).first if coded else compose([*TINY, place, *CASES[case]])
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


def rates(monkeypatch):
    """The learning rate of each step from now on, by the number of steps before it."""
    seen = {}
    real = torch.optim.AdamW.step

    def step(self, *arguments, **options):
        seen[int(next(iter(self.state.values()))["step"]) if self.state else 0] = self.param_groups[0]["lr"]
        return real(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return seen


def test_a_longer_run_follows_its_own_course_from_the_first_step_and_says_so(mnist_dir, tmp_path, monkeypatch, capsys):
    options = [*TINY, f"data.dir={mnist_dir}", "callbacks.early_stopping.patience=null"]
    whole = rates(monkeypatch)
    ScriptedRun(compose([*options, "trainer.max_epochs=2"]), tmp_path / "whole").go()
    ScriptedRun(compose([*options, "trainer.max_epochs=1"]), tmp_path / "short").go()
    capsys.readouterr()
    last = tmp_path / "short" / "checkpoints" / "last.ckpt"
    longer = rates(monkeypatch)
    ScriptedRun(compose([*options, "trainer.max_epochs=2", f"ckpt={last}"]), tmp_path / "long").go()
    assert sorted(longer) == list(range(11, 22))
    assert all(longer[step] == whole[step] for step in longer)
    said = capsys.readouterr().out
    assert "with trainer.max_epochs=2, where the run before had 1" in said
    assert "the learning rate follows the course of this run's length: 0.0005" in said


@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_run_that_ends_inside_an_epoch_goes_on_with_the_rest_of_it(accumulated, mnist_dir, tmp_path, capsys):
    options = [*TINY, f"data.dir={mnist_dir}", "optimizer.schedule=constant", "trainer.max_epochs=9"]
    options += [f"trainer.accumulate_grad_batches={accumulated}", "callbacks.early_stopping.patience=null"]
    ScriptedRun(compose([*options, "trainer.max_steps=9"]), tmp_path / "whole").go()
    means = train_means(capsys.readouterr().out)
    last = tmp_path
    for steps in (2, 7, 9):  # of 11 batches an epoch
        ckpt = [] if last == tmp_path else [f"ckpt={last / 'checkpoints' / 'last.ckpt'}"]
        last = tmp_path / str(steps)
        ScriptedRun(compose([*options, f"trainer.max_steps={steps}", *ckpt]), last).go()
    whole, parts = (checkpoint.read(f / "checkpoints" / "last.ckpt")[1] for f in (tmp_path / "whole", last))
    for name in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "loops"):
        assert differences(whole[name], parts[name]) == []
    assert differences(whole["callbacks"]["Position"], parts["callbacks"]["Position"]) == []
    assert means
    assert means <= train_means(capsys.readouterr().out)


def train_means(said):
    """The numbers of the epochs that lines speak of, and the mean score of training in each."""
    return {tuple(found) for found in re.findall(r"epoch +(\d+)/.* train ([\d.]+)", said)}


@pytest.mark.parametrize(
    "changed", ["callbacks.ema.decay=null", "callbacks.ema.decay=0.99", "seed=1", "trainer.accumulate_grad_batches=2"]
)
def test_what_the_state_of_a_training_depends_on_cannot_change_when_it_resumes(changed, mnist_dir, tmp_path):
    options = [*TINY, f"data.dir={mnist_dir}", "trainer.max_epochs=1"]
    ScriptedRun(compose(options), tmp_path / "a").go()
    last = tmp_path / "a" / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=rf"{changed}: ckpt=.*was trained with .*weights="):
        ScriptedRun(compose([*options, f"ckpt={last}", changed]), tmp_path / "b").go()
    with pytest.raises(UserError, match=r"data.levels=4: ckpt=.*was trained with 2; resume with the same$"):
        ScriptedRun(compose([*options, f"ckpt={last}", "data.levels=4"]), tmp_path / "b").go()


def test_a_new_run_begins_with_the_weights_of_another_one(mnist_dir, tmp_path):
    options = [*TINY, f"data.dir={mnist_dir}", "trainer.max_epochs=1"]
    ScriptedRun(compose(options), tmp_path / "a").go()
    best = tmp_path / "a" / "checkpoints" / "best.ckpt"
    start = []

    class Watch(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            start.append((trainer.global_step, {k: v.clone() for k, v in pl_module.density.state_dict().items()}))

    tuned = compose([*options, f"weights={best}", "optimizer.lr=0.1", "data.batch_size=8", "seed=5"])
    ScriptedRun(tuned, tmp_path / "b").go(more=[Watch()])
    (step, weights), trained = start[0], checkpoint.load(best).state_dict()
    assert step == 0
    assert all(torch.equal(weights[name], trained[name]) for name in trained)
    for changed in ("model.n_res=2", "data.levels=4"):
        with pytest.raises(UserError, match=rf"{changed}: weights=.*best.ckpt was trained with"):
            ScriptedRun(compose([*options, f"weights={best}", changed]), tmp_path / "c").go()
    for place, message in (
        ("none.ckpt", "weights=none.ckpt: no such file"),
        (tmp_path, f"weights={tmp_path}: a folder; no run's, which has the file checkpoints/best.ckpt"),
        ("pretrained:digits", r"weights=pretrained:digits was trained with"),
    ):
        with pytest.raises(UserError, match=message):
            ScriptedRun(compose([*options, f"weights={place}"]), tmp_path / "c").go()
    with pytest.raises(UserError, match=r"^ckpt=pretrained:digits: holds no state of a training to resume"):
        ScriptedRun(compose([*options, "ckpt=pretrained:digits"]), tmp_path / "c").go()
    with pytest.raises(UserError, match=r"weights='': must be a text, not empty"):
        compose(["weights="])
    with pytest.raises(UserError, match=r"weights=x: .* Give one"):
        compose(["weights=x", "ckpt=y"])


@pytest.mark.parametrize(("limit", "forgotten"), [(1, False), (2, True)])
def test_a_best_score_of_other_images_is_forgotten(mnist_dir, tmp_path, caplog, limit, forgotten):
    options = [*TINY, f"data.dir={mnist_dir}", "data.batch_size=2"]
    first = Run(compose([*options, "trainer.max_epochs=1", "trainer.limit_val_batches=1"]), tmp_path / "a")
    first.fit()
    best = first.trainer.checkpoint_callback.best_model_score
    resumed = [f"ckpt={tmp_path / 'a/checkpoints/last.ckpt'}", "trainer.max_epochs=2"]
    run = Run(compose([*options, *resumed, f"trainer.limit_val_batches={limit}"]), tmp_path / "b")
    run.fit()
    metrics = run.conclude()
    told = "the best validation so far is forgotten: it is of other images" in caplog.text
    assert told == forgotten
    assert metrics.val_images == 2 * limit
    steps = checkpoint.read(tmp_path / "b/checkpoints/best.ckpt")[1]["global_step"]
    own = [row["bits_per_dim"] for row in validations(tmp_path / "b")]
    if forgotten:
        assert (steps, metrics.val) == (44, pytest.approx(min(own), abs=1e-6))
    else:
        assert metrics.val == pytest.approx(min(float(best), *own), abs=1e-6)


def test_a_run_that_goes_on_gives_each_class_the_number_that_it_had(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("trained/1", "trained/2", "trained/10", "others/1", "others/2", "others/3"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    data = ["data=images", "data.size=8", f"data.dir={tmp_path}", "data.n_classes=3", "data.levels=2"]
    sizes = ["model=gated_pixelcnn", "model.n_res=0", "model.hidden=3", "model.n_classes=3", "trainer=cpu"]

    def run(folder, *overrides):
        config = compose([*data, *sizes, "logger=none", "trainer.max_steps=1", "trainer.max_epochs=1", *overrides])
        return Run(config, tmp_path / folder)

    first = run("first", f"data.path={tmp_path / 'trained'}")
    first.fit()
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    assert checkpoint.class_names(last) == first.data.class_names == ("1", "2", "10")
    with pytest.raises(UserError, match=r"its classes are 1, 2, 3; the checkpoint's are 1, 2, 10"):
        run("second", f"data.path={tmp_path / 'others'}", f"ckpt={last}")
    config, content = checkpoint.read(last)
    content[checkpoint.KEY] = checkpoint.header(config)
    checkpoint.write(tmp_path / "old.ckpt", content)
    again = run("third", f"data.path={tmp_path / 'trained'}", f"ckpt={tmp_path / 'old.ckpt'}")
    assert again.density.class_names == ("1", "10", "2")
    then = torch.tensor([0, 2, 1])  # the folder "10" was class 1 while folders were sorted as text
    assert torch.equal(again.data.split("train").labels, then[first.data.split("train").labels])


def test_a_run_that_begins_with_weights_gives_each_class_the_number_that_they_have(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("few/cat", "few/dog", "others/ant", "others/dog"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    sizes = [
        "model=gated_pixelcnn",
        "model.n_res=0",
        "model.hidden=3",
        "model.n_classes=2",
        "trainer=cpu",
        "logger=none",
    ]
    data = ["data=images", "data.size=8", f"data.dir={tmp_path}", "data.n_classes=2", "data.levels=2"]

    def run(folder, *overrides):
        return Run(
            compose([*data, *sizes, "trainer.max_steps=1", "trainer.max_epochs=1", *overrides]), tmp_path / folder
        )

    first = run("first", f"data.path={tmp_path / 'few'}")
    first.fit()
    best = tmp_path / "first" / "checkpoints" / "best.ckpt"
    config, content = checkpoint.read(best)
    content[checkpoint.KEY] = checkpoint.header(config, ("dog", "cat"))
    checkpoint.write(best, content)
    second = run("second", f"data.path={tmp_path / 'few'}", f"weights={best}")
    assert second.density.class_names == ("dog", "cat")
    assert torch.equal(second.data.split("train").labels, 1 - first.data.split("train").labels)
    third = run("third", f"data.path={tmp_path / 'others'}", f"weights={best}")
    assert third.density.class_names == ("ant", "dog")
    assert f"weights={best}: its classes are others: 0 = dog, 1 = cat" in capsys.readouterr().out.replace("\n", "")
