"""Runs in this process: what the command does, without its report."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch

from pixelcnn_lit import checkpoint, results
from pixelcnn_lit.callbacks import Throughput
from pixelcnn_lit.config import CheckpointConfig, TrainConfig
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.module import LitDensity
from pixelcnn_lit.registry import build_density
from pixelcnn_lit.resume import Position, StopSignals
from pixelcnn_lit.train import make_trainer

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


class Run:
    """A run in this process: what the command does, without its report."""

    def __init__(self, config: TrainConfig, folder: Path, every_minutes: float | None = None) -> None:
        self.config = config.model_copy(update={"checkpoint": CheckpointConfig(every_minutes=every_minutes)})
        self.folder = folder
        self.signals, self.script = StopSignals(), Script(None, None)

    def go(self, moment=None, action=None, ckpt=None, more=()):
        results.quiet_lightning()
        pl.seed_everything(self.config.seed, verbose=False)
        ckpt = ckpt and checkpoint.resumable(ckpt, self.config)
        data = ImageDataModule(self.config.data, self.config.seed)
        self.signals = StopSignals()
        trainer = make_trainer(self.config, self.folder, data, Throughput(), Position(), self.signals, ckpt)
        self.script = Script(moment, action)
        trainer.callbacks[:0] = [self.script, *more]
        module = LitDensity(build_density(self.config), self.config)
        with self.signals.caught():
            trainer.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True)
        return module
