"""The private parts of Lightning's API that resuming and searches need, all in one place.

This file is tested with the oldest and the newest Lightning that pyproject.toml allows.

* ``trainer.fit_loop.epoch_loop.max_steps``: when Lightning restores a run with max_steps, it assumes that the run
  stopped inside an epoch. So max_steps is unset until training starts.
* ``epoch_progress`` of the fit loop in a checkpoint: Lightning counts an epoch as done in whose middle training ended.
* ``trainer.fit_loop._data_fetcher``, ``epoch_loop._should_check_val_fx``, ``_should_check_val_epoch``,
  ``_should_accumulate``: whether gradients or a validation are pending after a step.
* ``trainer.val_check_batch``: the number of batches between validations.
* ``rank_zero_only.rank``: the rank of this process, before there is a trainer.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only


def set_max_steps(trainer: pl.Trainer, max_steps: int) -> None:
    """Set the step at which the training ends; -1: never."""
    trainer.fit_loop.epoch_loop.max_steps = max_steps


def leave_epoch_open(checkpoint: dict[str, Any]) -> None:
    """Let the run that goes on from this checkpoint begin in the middle of its epoch, not with the next one."""
    for epochs in checkpoint["loops"]["fit_loop"]["epoch_progress"].values():  # of this fit, and in total
        epochs["processed"] = epochs["completed"]


def leaves_something_pending(trainer: pl.Trainer, done: int) -> bool:
    """Whether, after ``done`` batches, gradients are accumulated, or a validation or the end of the epoch follows."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    validates = loop._should_check_val_fx(fetcher)
    return loop._should_accumulate() or validates or done == trainer.num_training_batches


def is_before_validation(trainer: pl.Trainer, done: int) -> bool:
    """Whether, after ``done`` batches of the epoch, a validation follows the optimiser's next step."""
    if not trainer.fit_loop.epoch_loop._should_check_val_epoch():
        return False
    left = trainer.num_training_batches - done
    if trainer.val_check_batch and trainer.check_val_every_n_epoch is not None:
        left = min(left, trainer.val_check_batch - done % trainer.val_check_batch)
    return bool(left <= trainer.accumulate_grad_batches)


def validation_number(trainer: pl.Trainer, done: int) -> int:
    """The number of the validation after ``done`` batches of the epoch, from 1 on: the epoch's where each has one.

    It depends on the position alone, so a resumed training that repeats a validation gives it the same number. Epochs
    that ``check_val_every_n_epoch`` leaves out count as the others do.
    """
    every, batches = int(trainer.val_check_batch or 1), int(trainer.num_training_batches)
    if trainer.check_val_every_n_epoch is None:
        return max(1, (trainer.current_epoch * batches + done) // every)
    return trainer.current_epoch * max(1, batches // every) + max(1, done // every)


def is_first_process() -> bool:
    """Whether this process is rank 0, which writes files."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)
