"""The average of the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.running import TINY
from pixelcnn_lit.config import compose
from pixelcnn_lit.training.averaging import AveragedWeights, share_of_start
from pixelcnn_lit.training.run import Run


@pytest.mark.parametrize("decay", [0.05, 0.5, 0.999])
def test_the_share_of_the_start_is_the_product_of_the_factors(decay):
    for steps in (1, 2, 3, 10, 500):
        t = np.arange(1, steps)
        assert share_of_start(decay, steps) == pytest.approx(np.minimum(decay, (1 + t) / (10 + t)).prod())


def test_a_short_run_with_a_slow_average_is_as_good_as_without(mnist_dir, tmp_path):
    options = [*TINY, f"data.dir={mnist_dir}", "optimizer.lr=0.01", "trainer.max_epochs=6"]
    bits = []
    for decay in ("0.9999", "null"):
        run = Run(compose([*options, f"callbacks.ema.decay={decay}"]), tmp_path / decay)
        run.fit()
        bits.append(run.conclude().val)
    assert bits[0] == pytest.approx(bits[1], abs=0.03)


def test_the_average_follows_the_formula():
    average, weight = torch.zeros(2), torch.ones(2)
    callback = AveragedWeights(0.5)
    expected = 0.0
    for t in range(1, 12):
        callback._average([average], [weight], torch.tensor(t))
        d = min(0.5, (1 + t) / (10 + t))
        expected = d * expected + 1 - d
        assert average[0].item() == pytest.approx(expected)


def test_a_run_of_a_few_steps_says_how_much_of_the_average_is_its_start(mnist_dir, tmp_path, capsys):
    options = ["trainer.max_steps=3", "trainer.val_check_interval=1", "callbacks.ema.decay=0.999"]
    Run(compose([*TINY, f"data.dir={mnist_dir}", *options]), tmp_path).fit()
    said = capsys.readouterr().out
    assert "step 2: 18% of the averaged weights are still those of the start" in said
    assert "step 3: 5% of" in said
