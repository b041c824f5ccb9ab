"""An exponential moving average of the weights, with a warm-up."""

from __future__ import annotations

import math

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, WeightAveraging
from torch import Tensor

from pixelcnn_lit import messages

NOTEWORTHY = 0.01
"""A larger share of the first weights in the average is told of."""


class AveragedWeights(WeightAveraging):
    """The average that validation, best.ckpt and samples use: ``a = d a + (1 - d) w`` after step t.

    ``d = min(decay, (1 + t) / (10 + t))``. With ``decay`` alone, the average of a short run would consist mostly of the
    weights of its start: of 37% after ``1 / (1 - decay)`` steps.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self._decay = decay

    @property
    def state_key(self) -> str:
        return EMAWeightAveraging.__qualname__  # the name in the checkpoints of earlier versions

    def _average(self, averages: list[Tensor], weights: list[Tensor], updates: Tensor | int) -> None:
        # A tensor on the device, so that the host does not wait for it.
        t = torch.as_tensor(updates)
        share = 1 - ((1 + t) / (10 + t)).clamp(max=self._decay)
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, share.to(average.dtype))
            else:
                average.copy_(weight)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_validation_epoch_start(trainer, pl_module)
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        share = share_of_start(self._decay, self._latest_update_step)
        if share > NOTEWORTHY:
            messages.say(
                f"step {trainer.global_step}: {share:.0%} of the averaged weights are still those of the start "
                "(callbacks.ema.decay)"
            )


def share_of_start(decay: float, updates: int) -> float:
    """The share of the weights after the first step in the average, after ``updates`` steps.

    The product over t = 1 .. updates - 1 of ``min(decay, (1 + t) / (10 + t))``.

    >>> round(share_of_start(0.9999, 3), 3), share_of_start(0.9999, 200) < 1e-12
    (0.045, True)
    """
    steps = max(0, updates - 1)
    # The factors below the decay are (1 + t) / (10 + t); their product telescopes to 10! / ((m + 2) ... (m + 10)).
    warm = min(steps, max(0, math.floor((10 * decay - 1) / (1 - decay))))
    product = math.factorial(10) / math.prod(warm + k for k in range(2, 11))
    return float(product * decay ** (steps - warm))
