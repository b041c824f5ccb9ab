"""The callback by which a job of a search reports its validations, and is pruned."""

from __future__ import annotations

import json
from pathlib import Path

import pytorch_lightning as pl

from pixelcnn_lit import messages
from pixelcnn_lit.errors import Pruned
from pixelcnn_lit.metrics import VAL
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps.study import make_pruner, open_study, trial_of


class Prune(pl.Callback):
    """Reports the validation of each epoch to the trial, and raises Pruned if the pruner decides so."""

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / run_folder.TRIAL).read_bytes())
        self._folder, self._number, self._pruner = folder, int(told["number"]), str(told["pruner"])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        bits = trainer.callback_metrics.get(VAL)
        if trainer.sanity_checking or trainer.state.fn != "fit" or bits is None:
            return
        epoch, hopeless = trainer.current_epoch + 1, False
        if trainer.is_global_zero:
            study, storage = open_study(self._folder.parent, pruner=make_pruner(self._pruner))
            trial = trial_of(study, storage, self._number)
            if epoch not in study.trials[self._number].intermediate_values:  # reported before the run was resumed
                trial.report(float(bits), epoch)
            hopeless = trial.should_prune()
        if trainer.world_size > 1:
            hopeless = trainer.strategy.reduce_boolean_decision(hopeless, all=False)
        if hopeless:
            raise Pruned(f"val {float(bits):.4f} bits/dim after epoch {epoch}: the {self._pruner} pruner has no hope")

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
