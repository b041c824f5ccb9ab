from __future__ import annotations

from types import SimpleNamespace

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


@pytest.mark.parametrize(("policy", "scale", "stops"), [("skip", 1, False), ("stop", 1024, False), ("stop", 1, True)])
def test_steps_that_a_loss_scaler_leaves_out_are_counted(tmp_path, policy, scale, stops):
    """It lowers its scale after each: that gradients are infinite means nothing before the scale is 1."""
    layer = torch.nn.Linear(2, 1)
    layer.weight.grad = torch.full((1, 2), torch.inf)
    optimizer = torch.optim.SGD(layer.parameters())
    plugin = SimpleNamespace(scaler=SimpleNamespace(get_scale=lambda: scale))
    trainer = SimpleNamespace(precision_plugin=plugin, precision="16-mixed", global_step=0, loggers=[])
    module = SimpleNamespace(parameters=layer.parameters, device=torch.device("cpu"))
    steps = FiniteSteps(policy, tmp_path)
    if stops:
        with pytest.raises(UserError, match="step 1: the loss or its gradients are NaN or infinite"):
            steps.on_before_optimizer_step(trainer, module, optimizer)
    else:
        steps.on_before_optimizer_step(trainer, module, optimizer)
    assert steps.skipped == 1
    assert not hasattr(optimizer, "found_inf")


class Scores(pl.Callback):
    """The score of each training batch, and the number of its images."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append((float(trainer.callback_metrics["train/bits_per_dim"]), len(batch[0])))


def test_the_line_of_an_epoch_tells_the_mean_of_its_images(mnist_dir, tmp_path, capsys):
    scores = Scores()
    options = ["trainer.max_epochs=2", "data.batch_size=32"]  # 32 images, then 12
    ScriptedRun(compose([*TINY, f"data.dir={mnist_dir}", *options]), tmp_path).go(more=[scores])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    for line, epoch in zip(lines, (scores.seen[:2], scores.seen[2:]), strict=True):
        mean = sum(score * n for score, n in epoch) / sum(n for _, n in epoch)
        assert line[2] == "train"
        assert float(line[3]) == pytest.approx(mean, abs=6e-5)


def test_a_validation_inside_an_epoch_has_a_line_of_its_own(mnist_dir, tmp_path, capsys):
    every = ["trainer.val_check_interval=5", "trainer.check_val_every_n_epoch=null", "trainer.max_epochs=2"]
    ScriptedRun(compose([*TINY, f"data.dir={mnist_dir}", *every]), tmp_path).go()
    told = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if ": val " in line]
    assert told == ["step 5", "step 10", "step 15", "step 20"]  # of 11 an epoch


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
