"""The callback by which a job of a search reports its validations, and is pruned."""

from __future__ import annotations

import json
from pathlib import Path

import pytorch_lightning as pl

from pixelcnn_lit import messages
from pixelcnn_lit.errors import Pruned
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps.study import make_pruner, open_study, trial_of
from pixelcnn_lit.training import lightning
from pixelcnn_lit.training.resume import Position


class Prune(pl.Callback):
    """Reports each validation to the trial, by its number, and raises Pruned if the pruner decides so."""

    def __init__(self, folder: Path, position: Position) -> None:
        told = json.loads((folder / run_folder.TRIAL).read_bytes())
        self._folder, self._number, self._pruner = folder, int(told["number"]), str(told["pruner"])
        self._position = position

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        found = trainer.callback_metrics.get(BITS.val)
        if trainer.sanity_checking or trainer.state.fn != "fit" or found is None:
            return
        bits, hopeless = float(found), False
        if trainer.is_global_zero:
            bits, hopeless = self._judged(lightning.validation_number(trainer, self._position.batch), bits)
        if trainer.world_size > 1:
            hopeless = trainer.strategy.reduce_boolean_decision(hopeless, all=False)
        if hopeless:
            epochs = trainer.current_epoch + self._position.batch / trainer.num_training_batches
            raise Pruned(f"val {bits:.4f} bits/dim after {epochs:.4g} epochs: the {self._pruner} pruner has no hope")

    def _judged(self, step: int, bits: float) -> tuple[float, bool]:
        """What the trial has for a validation, and whether the pruner has no hope after it.

        A resumed run may repeat validations. The trial keeps what it has, and only its latest one is judged again.
        """
        study, storage = open_study(self._folder.parent, pruner=make_pruner(self._pruner))
        trial = trial_of(study, storage, self._number)
        reported = study.trials[self._number].intermediate_values
        if step not in reported:
            trial.report(bits, step)
        return reported.get(step, bits), step >= max(reported, default=0) and trial.should_prune()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or self._pruner == "none":
            return
        study, _ = open_study(self._folder.parent)
        # The trial knows of validations before a restart too.
        if not study.get_trials(deepcopy=False)[self._number].intermediate_values:
            messages.say(
                f"the {self._pruner} pruner had no validation before the end of the training, so it could not judge; "
                "trainer.val_check_interval or trainer.check_val_every_n_epoch make it validate earlier"
            )
