"""Runs in this process: what the command does, without its report."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch

from pixelcnn_lit.config import CheckpointConfig, TrainConfig
from pixelcnn_lit.training.resume import StopSignals
from pixelcnn_lit.training.run import Run

TINY = [
    "model.n_res=1",
    "model.hidden=4",
    "data.levels=2",
    "data.source=torchvision",
    "data.batch_size=4",
    "trainer=cpu",
    "trainer.max_epochs=3",
    "logger=none",
    "callbacks.ema.decay=0.9",
    "callbacks.early_stopping.patience=3",
    "optimizer.warmup_steps=3",
]


class Script(pl.Callback):
    """Does something to the run after a given number of batches: train batches, and those of a validation."""

    def __init__(self, moment, action):
        self.moment, self.action, self.seen = moment, action, -1

    def tick(self):
        self.seen += 1
        if self.seen == self.moment:
            self.action()

    def on_train_batch_start(self, *_):
        torch.rand(3)  # a network with dropout draws numbers
        self.tick()

    def on_validation_batch_start(self, *_):
        self.tick()


class ScriptedRun:
    """A run in this process that something is done to: what the command does, without its report."""

    def __init__(self, config: TrainConfig, folder: Path, every_minutes: float | None = None) -> None:
        self.config = config.model_copy(update={"checkpoint": CheckpointConfig(every_minutes=every_minutes)})
        self.folder = folder
        self.signals, self.script = StopSignals(), Script(None, None)

    def go(self, moment=None, action=None, ckpt=None, more=()):
        self.script = Script(moment, action)
        config = self.config.model_copy(update={"ckpt": ckpt and str(ckpt), "overwrite": ckpt is None})
        run = Run(config, self.folder, callbacks=[self.script, *more])
        self.signals = run.signals
        with self.signals.caught():
            run.trainer.fit(run.module, datamodule=run.data, ckpt_path=run.ckpt, weights_only=True)
        return run.module
