from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.running import TINY, ScriptedRun
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training import callbacks
from pixelcnn_lit.training.callbacks import FiniteSteps


class Spoil(pl.Callback):
    """Makes a gradient of one step NaN."""

    def __init__(self, step):
        self.step, self.before, self.after = step, None, None

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step == self.step:
            self.before = [p.clone() for p in pl_module.parameters()]
            next(pl_module.parameters()).grad[0] = torch.nan

    def on_train_batch_end(self, trainer, pl_module, *_):
        if self.before is not None and self.after is None:
            self.after = [p.clone() for p in pl_module.parameters()]
            self.counted = next(c for c in trainer.callbacks if isinstance(c, FiniteSteps)).skipped


def test_a_run_stops_at_numbers_gone_wrong_and_names_the_step_and_the_way_back(mnist_dir, tmp_path):
    run = ScriptedRun(compose([*TINY, f"data.dir={mnist_dir}"]), tmp_path)
    good = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=rf"^step 14: .*NaN or infinite; the last good checkpoint: ckpt={good}\. Lower"):
        run.go(more=[Spoil(13)])
    with pytest.raises(UserError, match=r"^step 2: .*none was saved yet"):
        ScriptedRun(run.config, tmp_path / "early").go(more=[Spoil(1)])
    run.go()
    assert good == checkpoint.newest_good(tmp_path / "checkpoints")


def test_a_run_may_leave_such_steps_out(mnist_dir, tmp_path):
    run = ScriptedRun(compose([*TINY, f"data.dir={mnist_dir}", "on_nan=skip", "trainer.max_epochs=1"]), tmp_path)
    spoil = Spoil(4)
    module = run.go(more=[spoil])
    assert all(torch.equal(before, after) for before, after in zip(spoil.before, spoil.after, strict=True))
    assert spoil.counted == 1
    assert all(p.isfinite().all() for p in module.parameters())
    assert checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")[1]["callbacks"]["FiniteSteps"] == {"skipped": 1}


def test_they_are_left_out_where_the_optimiser_does_not_look_for_them(mnist_dir, tmp_path, monkeypatch):
    step = torch.optim.AdamW.step

    def blind(self, closure):
        def without_found_inf():
            loss = closure()
            del self.found_inf
            return loss

        return step(self, without_found_inf)

    monkeypatch.setattr(torch.optim.AdamW, "step", blind)
    monkeypatch.setattr(callbacks, "WITHOUT_SKIPPING", {"cpu"})
    spoil = Spoil(4)
    options = [f"data.dir={mnist_dir}", "on_nan=skip", "trainer.max_epochs=1", "trainer.limit_train_batches=6"]
    module = ScriptedRun(compose([*TINY, *options]), tmp_path).go(more=[spoil])
    assert all(torch.equal(before, after) for before, after in zip(spoil.before, spoil.after, strict=True))
    assert spoil.counted == 1
    assert all(p.isfinite().all() for p in module.parameters())


class Reads(TorchDispatchMode):
    """Counts how often the host reads a number from a tensor, or makes one of a host's number."""

    WAITING = ("aten::_local_scalar_dense", "aten::lift_fresh", "aten::nonzero", "aten::equal")

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split(".")[0]
        if name in self.WAITING:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class Watch(pl.Callback):
    """What was read in each step of a training: from the end of a step to the end of the next."""

    def __init__(self, reads):
        self.reads, self.of_steps = reads, []

    def on_train_batch_end(self, *_):
        self.of_steps.append(list(self.reads.names))
        self.reads.names.clear()


@pytest.mark.parametrize("likelihood", ["categorical", "logistic_mixture"])
def test_the_host_waits_for_the_device_on_a_schedule_alone(mnist_dir, tmp_path, monkeypatch, likelihood):
    real = callbacks.may_read
    monkeypatch.setattr(callbacks, "may_read", lambda trainer, device: real(trainer, torch.device("cuda")))
    options = [
        *("trainer.max_steps=10", "trainer.log_every_n_steps=5", "trainer.enable_progress_bar=true"),
        *("trainer.limit_val_batches=0", "callbacks.early_stopping.patience=null", "callbacks.ema.decay=null"),
    ]
    config = compose([*TINY, f"data.dir={mnist_dir}", f"likelihood={likelihood}", *options])
    with Reads() as reads:
        watch = Watch(reads)
        ScriptedRun(config, tmp_path).go(more=[watch])
    assert [step for step, names in enumerate(watch.of_steps) if names] == [0, 5]


def test_numbers_gone_wrong_are_told_of_when_the_host_reads_and_change_nothing_until_then(
    mnist_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(callbacks, "may_read", lambda trainer, device: False)
    spoil = Spoil(4)
    config = compose([*TINY, f"data.dir={mnist_dir}", "trainer.max_epochs=1"])
    with pytest.raises(UserError, match=r"^step 5: .*NaN or infinite"):
        ScriptedRun(config, tmp_path).go(more=[spoil, Spoil(7)])
    assert all(torch.equal(before, after) for before, after in zip(spoil.before, spoil.after, strict=True))
