"""What resuming needs of Lightning beyond its public API, all in one place.

It is tested with the oldest and the newest Lightning that pyproject.toml admits.

* ``trainer.fit_loop.epoch_loop.max_steps``: while it takes up a state, Lightning believes of every run with max_steps
  that it stopped inside an epoch; so there are none until training starts.
* ``trainer.fit_loop._data_fetcher``, ``epoch_loop._should_check_val_fx``, ``_should_check_val_epoch``,
  ``_should_accumulate``: whether a step leaves something pending, gradients or a validation, when it ends.
* ``trainer.val_check_batch``: after how many batches a validation comes.
* ``rank_zero_only.rank``: which process this is, before there is a trainer.
"""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only


def set_max_steps(trainer: pl.Trainer, max_steps: int) -> None:
    """Change when the training ends; -1: never."""
    trainer.fit_loop.epoch_loop.max_steps = max_steps


def leaves_something_pending(trainer: pl.Trainer, done: int) -> bool:
    """Whether, after ``done`` batches, gradients wait for others, or a validation or the epoch's end comes."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    validates = loop._should_check_val_fx(fetcher)
    return loop._should_accumulate() or validates or done == trainer.num_training_batches


def is_before_validation(trainer: pl.Trainer, done: int) -> bool:
    """Whether, after ``done`` batches of the epoch, the optimiser's next step ends in a validation."""
    if not trainer.fit_loop.epoch_loop._should_check_val_epoch():
        return False
    left = trainer.num_training_batches - done
    if trainer.val_check_batch and trainer.check_val_every_n_epoch is not None:
        left = min(left, trainer.val_check_batch - done % trainer.val_check_batch)
    return bool(left <= trainer.accumulate_grad_batches)


def is_first_process() -> bool:
    """Whether this process is the one that writes."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)
