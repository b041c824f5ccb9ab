from __future__ import annotations

import pytest

from helpers.running import TINY
from pixelcnn_lit.config import compose, conf_dir
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.training import validations
from pixelcnn_lit.training.run import Run

QUICK = [*TINY, "callbacks.ema.decay=null", "trainer.enable_checkpointing=false"]  # 11 batches an epoch


def made(mnist_dir, folder, *options):
    return Run(compose([*QUICK, f"data.dir={mnist_dir}", *options]), folder)


@pytest.mark.parametrize(
    ("options", "batches"),
    [("trainer.val_check_interval=12", 11), ("trainer.val_check_interval=5 trainer.limit_train_batches=0.4", 4)],
)
def test_an_interval_longer_than_an_epoch_is_one_line(mnist_dir, tmp_path, options, batches):
    interval = options.split()[0]
    with pytest.raises(UserError, match=rf"^{interval}: an epoch has {batches} batches; must be from 1 to {batches}, "):
        made(mnist_dir, tmp_path, *options.split())
    assert not list(tmp_path.iterdir())
    made(mnist_dir, tmp_path, *options.split(), "trainer.check_val_every_n_epoch=null")
    made(mnist_dir, tmp_path, interval.partition("=")[0] + f"={batches}", *options.split()[1:])


@pytest.mark.parametrize("experiment", sorted(path.stem for path in conf_dir().glob("experiment/[!_]*.yaml")))
def test_an_experiment_does_not_depend_on_how_long_an_epoch_is(experiment):
    """The digits that come with the package, on which MNIST falls back, have epochs of a fourteenth of its length."""
    if not experiment.startswith("vqvae2"):
        trainer = compose([f"experiment={experiment}"]).trainer
        assert not isinstance(trainer.val_check_interval, int) or trainer.check_val_every_n_epoch is None
        assert trainer.max_steps == -1 or trainer.max_epochs in (None, 1000)


@pytest.mark.parametrize(
    "options",
    [
        ["trainer.max_steps=10"],
        ["trainer.max_steps=5", "trainer.accumulate_grad_batches=2"],
        ["trainer.max_steps=6", "trainer.accumulate_grad_batches=2"],
        ["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=3"],
        ["trainer.max_steps=4", "trainer.val_check_interval=0.5"],
        ["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=22"],
        ["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=23"],
        ["trainer.fast_dev_run=true"],
    ],
)
def test_early_stopping_without_a_validation_is_told_of(mnist_dir, tmp_path, options, capsys):
    run = made(mnist_dir, tmp_path, *options)
    run.fit()
    validated = (tmp_path / "validation.csv").exists()
    told = validations.without_effect(run.trainer, len(run.data.split("train")), run.config)
    assert (told is None) == validated
    assert ("callbacks.early_stopping.patience=3 has no effect" in capsys.readouterr().out) == (not validated)
    without = run.config.callbacks.early_stopping.model_copy(update={"patience": None})
    callbacks = run.config.callbacks.model_copy(update={"early_stopping": without})
    silent = run.config.model_copy(update={"callbacks": callbacks})
    assert validations.without_effect(run.trainer, len(run.data.split("train")), silent) is None


def test_epochs_that_end_before_the_steps_are_told_of(mnist_dir, tmp_path, capsys):
    for steps in (22, 23):
        made(mnist_dir, tmp_path, "trainer.max_epochs=2", f"trainer.max_steps={steps}", "overwrite=true").fit()
        told = "note: trainer.max_epochs=2 ends the training after 22 steps, not 23\n" in capsys.readouterr().out
        assert told == (steps == 23)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["trainer.max_steps=3"], 3 / 11),
        (["trainer.max_epochs=2"], 2),
        (["trainer.max_epochs=1", "trainer.accumulate_grad_batches=2"], 1),
        (["trainer.max_steps=7", "trainer.accumulate_grad_batches=2"], 13 / 11),
        (["trainer.max_steps=3", "trainer.limit_train_batches=2"], 1.5),
    ],
)
def test_an_epoch_is_once_through_the_images(mnist_dir, tmp_path, options, told):
    run = made(mnist_dir, tmp_path, *options)
    run.fit()
    assert run.conclude().epochs == pytest.approx(told)


def test_epochs_of_other_lengths_add_up(mnist_dir, tmp_path):
    """An epoch of 2 batches, then one of 3."""
    options = [*TINY, f"data.dir={mnist_dir}"]
    first = Run(compose([*options, "trainer.limit_train_batches=2", "trainer.max_epochs=1"]), tmp_path / "a")
    first.fit()
    longer = ["trainer.limit_train_batches=3", "trainer.max_epochs=2", f"ckpt={tmp_path / 'a/checkpoints/last.ckpt'}"]
    run = Run(compose([*options, *longer]), tmp_path / "b")
    run.fit()
    assert run.conclude().epochs == pytest.approx(2)


def test_a_run_that_goes_on_from_the_middle_of_an_epoch_adds_its_batches(mnist_dir, tmp_path):
    options = [*TINY, f"data.dir={mnist_dir}"]
    first = Run(compose([*options, "trainer.max_steps=5"]), tmp_path / "a")
    first.fit()
    longer = ["trainer.max_steps=7", f"ckpt={tmp_path / 'a/checkpoints/last.ckpt'}"]
    run = Run(compose([*options, *longer]), tmp_path / "b")
    run.fit()
    assert run.conclude().epochs == pytest.approx(7 / 11)


def test_a_falling_rate_that_the_clock_may_cut_short_is_told_of(mnist_dir, tmp_path, capsys):
    told = "note: optimizer.schedule=cosine falls until trainer.max_epochs or max_steps; trainer.max_time=00:00:01:00"
    for schedule in ("constant", "cosine"):
        options = ["trainer.max_time=00:00:01:00", "trainer.max_steps=1", f"optimizer.schedule={schedule}"]
        made(mnist_dir, tmp_path / schedule, *options).fit()
        assert (told in capsys.readouterr().out) == (schedule == "cosine")
