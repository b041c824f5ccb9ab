"""When a training validates: what would never happen is known before training time is spent."""

from __future__ import annotations

import math

import pytorch_lightning as pl

from pixelcnn_lit.config import RunConfig
from pixelcnn_lit.errors import UserError


def check_interval(trainer: pl.Trainer, images: int, config: RunConfig) -> None:
    """Raise UserError if ``trainer.val_check_interval`` is a number of batches that no epoch of ``images`` has."""
    every, batches = trainer.val_check_interval, epoch_batches(trainer, images, config)
    if not isinstance(every, int) or trainer.check_val_every_n_epoch is None or not trainer.limit_val_batches:
        return
    if 0 < batches < every:
        raise UserError(
            f"trainer.val_check_interval={every}: an epoch has {batches} batches; must be from 1 to {batches}, a "
            "fraction above 0 and up to 1, or, to count batches over epochs, have trainer.check_val_every_n_epoch=null"
        )


def without_effect(trainer: pl.Trainer, images: int, config: RunConfig) -> str | None:
    """A line if early stopping is asked for and training ends before its first validation, else None."""
    patience, batches = config.callbacks.early_stopping.patience, epoch_batches(trainer, images, config)
    if patience is None or not batches:
        return None
    first, last = _first_validation(trainer, batches), _last_batch(trainer, batches)
    if first <= last:
        return None
    return (
        f"note: callbacks.early_stopping.patience={patience} has no effect: training ends after {last} batches, and "
        f"the first validation would come after {first}"
    )


def cut_short(trainer: pl.Trainer, images: int, config: RunConfig) -> str | None:
    """A line if ``trainer.max_epochs`` ends the training before ``trainer.max_steps``, else None."""
    batches, last = epoch_batches(trainer, images, config), trainer.max_epochs
    if trainer.max_steps == -1 or last in (None, -1) or not batches:
        return None
    steps = last * steps_of_epoch(batches, trainer.accumulate_grad_batches)
    if steps >= trainer.max_steps:
        return None
    return f"note: trainer.max_epochs={last} ends the training after {steps:,} steps, not {trainer.max_steps:,}"


def rate_cut_short(trainer: pl.Trainer, images: int, config: RunConfig) -> str | None:
    """A line if the learning rate falls over so many steps that the clock may end the training before, else None."""
    if config.trainer.max_time is None or config.optimizer.schedule != "cosine":
        return None
    return (
        "note: optimizer.schedule=cosine falls until trainer.max_epochs or max_steps; trainer.max_time="
        f"{config.trainer.max_time} may end the training before"
    )


def steps_of_epoch(batches: int, accumulated: int) -> int:
    """The steps of an epoch; the last one may have fewer batches than the others."""
    return -(-batches // accumulated)


def last_epoch(trainer: pl.Trainer) -> int | None:
    """The number of the epoch in which training ends at the latest, by max_epochs or max_steps; None if by neither."""
    batches = int(trainer.num_training_batches)
    last = _last_batch(trainer, batches)
    return None if last == math.inf else math.ceil(last / batches)


def epoch_batches(trainer: pl.Trainer, images: int, config: RunConfig) -> int:
    """The batches of an epoch of ``images``, after ``trainer.limit_train_batches``, which each process takes."""
    return _limited(trainer, images, config, trainer.limit_train_batches)


def judged_images(trainer: pl.Trainer, images: int, config: RunConfig, limit: int | float) -> int:
    """How many of ``images`` a score is a mean over, after a ``limit`` such as ``trainer.limit_val_batches``."""
    batches = _limited(trainer, images, config, limit)
    return min(images, batches * config.data.batch_size * trainer.world_size)


def _limited(trainer: pl.Trainer, images: int, config: RunConfig, limit: int | float) -> int:
    batches = -(-images // (config.data.batch_size * trainer.world_size))
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _first_validation(trainer: pl.Trainer, batches: int) -> int:
    every = trainer.val_check_interval
    within = every if isinstance(every, int) else max(1, int(batches * every))
    every_epochs = trainer.check_val_every_n_epoch
    return within if every_epochs is None else (every_epochs - 1) * batches + within


def _last_batch(trainer: pl.Trainer, batches: int) -> float:
    """The number of batches of the whole training, infinite where only the clock ends it."""
    last = batches * (math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs)
    if trainer.max_steps == -1:
        return last
    return min(last, _batches_of(trainer.max_steps, batches, trainer.accumulate_grad_batches))


def _batches_of(steps: int, batches: int, accumulated: int) -> int:
    """The batches in so many steps, in epochs of ``batches``."""
    whole, rest = divmod(steps, steps_of_epoch(batches, accumulated))
    return whole * batches + rest * accumulated
