from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch

from pixelcnn_lit import checkpoint
from pixelcnn_lit.callbacks import FiniteSteps
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from running import TINY, Run


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
    run = Run(compose([*TINY, f"data.dir={mnist_dir}"]), tmp_path)
    good = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=rf"^step 14: .*NaN or infinite; the last good checkpoint: ckpt={good}\. Lower"):
        run.go(more=[Spoil(13)])
    with pytest.raises(UserError, match=r"^step 2: .*none was saved yet"):
        Run(run.config, tmp_path / "early").go(more=[Spoil(1)])
    run.go(ckpt=checkpoint.newest_good(tmp_path / "checkpoints"))


def test_a_run_may_leave_such_steps_out(mnist_dir, tmp_path):
    run = Run(compose([*TINY, f"data.dir={mnist_dir}", "on_nan=skip", "trainer.max_epochs=1"]), tmp_path)
    spoil = Spoil(4)
    module = run.go(more=[spoil])
    assert all(torch.equal(before, after) for before, after in zip(spoil.before, spoil.after, strict=True))
    assert spoil.counted == 1
    assert all(p.isfinite().all() for p in module.parameters())
    assert checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")[1]["callbacks"]["FiniteSteps"] == {"skipped": 1}
