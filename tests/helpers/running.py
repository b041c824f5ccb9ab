"""Runs in this process: what the command does, without its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytorch_lightning as pl
import torch

from pixelcnn_lit.config import CheckpointConfig, RunConfig, TrainConfig, compose
from pixelcnn_lit.storage import checkpoint, run_folder
from pixelcnn_lit.training.autoencoding import AutoencoderRun
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


CODED = [
    *(option for option in TINY if option.startswith(("data", "trainer", "logger", "optimizer"))),
    *("autoencoder.n_codes=8", "autoencoder.hidden=4", "autoencoder.res_hidden=2", "autoencoder.code_size=2"),
    *("autoencoder.decay=0.7", "autoencoder.revive_below=1", "callbacks.early_stopping.patience=3"),
]
"""A tiny autoencoder, whose codes die and are revived."""


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

    def __init__(self, config: RunConfig, folder: Path, every_minutes: float | None = None) -> None:
        self.kind = Run if isinstance(config, TrainConfig) else AutoencoderRun
        self.config = config.model_copy(update={"checkpoint": CheckpointConfig(every_minutes=every_minutes)})
        self.folder = folder
        self.script = Script(None, None)

    def go(self, moment=None, action=None, more=()):
        """Begin, or go on from what is in the folder."""
        self.script = Script(moment, action)
        run = self.kind(self.config, self.folder, callbacks=[self.script, *more])
        run.fit()
        return run.module


def state(folder):
    """All that is in the last and the best checkpoint but times and places."""
    contents = []
    for name in ("last.ckpt", "best.ckpt"):
        content = checkpoint.read(folder / "checkpoints" / name)[1]
        del content["callbacks"]["Throughput"], content[checkpoint.KEY]["config"]["checkpoint"]
        for key, value in content["callbacks"].items():
            if key.startswith("ModelCheckpoint"):
                content["callbacks"][key] = {"score": value["best_model_score"]}
        contents.append(content)
    return contents


def differences(a, b, where=""):
    if isinstance(a, dict) and isinstance(b, dict):
        keys = a.keys() | b.keys()
        return [d for key in keys for d in differences(a.get(key), b.get(key), f"{where}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{where}[{i}]")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b
    return [] if same else [f"{where}: {a} / {b}"]


def leave(folder, *overrides, bits=None, curve=(), stopped=None):
    """What a run leaves, without the run."""
    config = compose([override for override in overrides if not override.startswith("data.levels=1,")])
    run_folder.record(folder, config, overrides, {"overrides": {"task": list(overrides)}})
    rows = [f"{epochs},{3 * epochs},{value}\n" for epochs, value in curve]
    if rows:
        (folder / "validation.csv").write_text("epochs,steps,bits_per_dim\n" + "".join(rows))
    if stopped:
        run_folder.stop(folder, *stopped)
    if bits is not None:
        metrics = {"test/bits_per_dim": bits, "val/bits_per_dim": bits, "params": 1234, "epochs": 2}
        (folder / "metrics.json").write_text(json.dumps(metrics | {"images_per_second": 12.3}))
