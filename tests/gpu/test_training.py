"""Training on the device: its figure, compiled steps, resuming, memory."""

from __future__ import annotations

import gc
import json
import logging
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from helpers.memory import held
from helpers.running import ScriptedRun, differences, state
from pixelcnn_lit.config import compose
from pixelcnn_lit.training.run import Run

pytestmark = pytest.mark.gpu
KEPT = Path(__file__).parents[2] / "docs" / "results" / "quickstart" / "metrics.json"
SMALL = ["model.n_res=1", "model.hidden=8", "model.first_kernel_size=7", "data.levels=4", "data=digits"]
LEAVE_OUT_VALIDATION = ["trainer.limit_val_batches=0", "trainer.max_epochs=null"]


class Killed(BaseException):
    pass


class Losses(pl.Callback):
    """The loss of each step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(float(outputs["loss"]))


class Held(pl.Callback):
    """The memory of the device after each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        gc.collect()
        self.seen.append(held(pl_module.device))


def test_the_quick_start_reaches_its_figure(trainer, on_gpu, tmp_path):
    tiny = [] if on_gpu else ["model.hidden=4", "trainer.max_steps=20", "trainer.limit_test_batches=2"]
    run = Run(compose(["experiment=quickstart", *trainer, *tiny]), tmp_path)
    run.fit()
    bits = run.conclude().test
    figure = json.loads(KEPT.read_text())["test/bits_per_dim"]
    # Of three precisions on a CPU the results lie within 0.0004 of each other.
    # Twenty steps of a tiny network say nothing of a figure: of 4 levels that are equally likely it is 2.
    assert bits < (figure + 0.003 if on_gpu else 2.1)


def test_compiled_steps_have_the_losses_of_plain_ones(trainer, on_gpu, tmp_path, caplog):
    sizes = ["experiment=quickstart", "trainer.max_steps=500"] if on_gpu else [*SMALL, "trainer.max_steps=6"]
    mode = "reduce-overhead" if on_gpu else "default"
    found = []
    for compiled in ("null", mode):
        losses = Losses()
        options = [*sizes, *trainer, *LEAVE_OUT_VALIDATION, "trainer.precision=32-true", f"trainer.compile={compiled}"]
        with caplog.at_level(logging.WARNING):
            Run(compose(options), tmp_path / compiled, callbacks=[losses]).fit()
        found.append(torch.tensor(losses.seen))
    assert "cannot be compiled" not in caplog.text
    plain, compiled = found
    assert len(plain) == len(compiled) == (500 if on_gpu else 6)
    # The same sums in another order: apart in the last bits at first, and further with every step.
    torch.testing.assert_close(compiled[:20], plain[:20], rtol=1e-3, atol=0)
    torch.testing.assert_close(compiled[-100:].mean(), plain[-100:].mean(), rtol=0.01, atol=0)


@pytest.mark.parametrize("compiled", ["null", "reduce-overhead"])
def test_a_run_that_is_killed_and_goes_on_ends_as_if_nothing_had_been(compiled, trainer, on_gpu, tmp_path):
    if not on_gpu:
        compiled = "null"  # the CPU has no CUDA graphs

    def kill():
        raise Killed

    options = [*SMALL, *trainer, f"trainer.compile={compiled}", "trainer.deterministic=true", "data.batch_size=256"]
    more = ["callbacks.ema.decay=0.9", "trainer.max_epochs=3", "trainer.limit_val_batches=1"]
    limit = [] if on_gpu else ["trainer.limit_train_batches=3"]
    config = compose([*options, *more, *limit])
    whole, run = (ScriptedRun(config, tmp_path / name, every_minutes=1e-9) for name in ("whole", "run"))
    whole.go()
    with pytest.raises(Killed):
        run.go(whole.script.seen // 2, kill)
    run.go()
    assert differences(state(whole.folder), state(run.folder)) == []


def test_epochs_need_no_more_memory(trainer, on_gpu, tmp_path):
    watch = Held()
    options = [*SMALL, *trainer, "trainer.max_epochs=8", "trainer.limit_val_batches=1", "data.batch_size=64"]
    limit = [] if on_gpu else ["trainer.limit_train_batches=3"]
    Run(compose([*options, *limit]), tmp_path, callbacks=[watch]).fit()
    assert len(watch.seen) == 8
    assert watch.seen[-1] - watch.seen[3] < 4e6
