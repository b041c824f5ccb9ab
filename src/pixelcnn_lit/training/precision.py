"""One density: what is trained in bfloat16 is what is evaluated in float32.

A long run in bfloat16 went on improving there while its learning rate fell, and the network that is evaluated, in
float32, got worse. The likely reason, which is not measured: in bfloat16 a weight keeps 8 bits. While the learning rate
is high, weights move more than that rounding, and training averages over it. When the rate falls, the rounding stands
still, and training fits the rounded network. So:

* the layers that see the image are in float32 throughout (:class:`~pixelcnn_lit.nn.causal.Convolution`);
* the last steps, while the learning rate is low, are in float32: ``trainer.float32_tail``;
* the difference that is left is measured at each validation: ``val/precision_gap``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from pixelcnn_lit import messages
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.device import fast_precision, in_double
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.metrics import PRECISION_GAP
from pixelcnn_lit.training.module import LitDensity
from pixelcnn_lit.training.step_lines import timer_of

IMAGES = 64
"""The number of validation images on which the gap is measured."""

LARGE_GAP = 0.002
"""Bits per dimension; a larger gap is told of."""


PRECISIONS = {
    "32-true": ("32-true", "32", 32, None),
    "bf16-mixed": ("bf16-mixed", "bf16"),
    "16-mixed": ("16-mixed", "16", 16),
    "64-true": ("64-true", "64", 64),
}
"""The precisions of training, and other ways to write them. In all of them weights are in float32 at least."""


def choose(wish: str | int | None, accelerator: str) -> str:
    """The name of a precision, for ``trainer.precision`` and "cpu", "cuda" or "mps".

    Raises UserError for one whose weights would be other weights in the float32 that is evaluated, or that the hardware
    cannot do.
    """
    if wish == "auto":
        return fast_precision(accelerator)
    name = next((name for name, ways in PRECISIONS.items() if wish in ways), None)
    if name is None:
        raise UserError(
            f"trainer.precision={wish}: must be auto or one of {', '.join(PRECISIONS)}; evaluation is in float32, so "
            "weights are in float32 in training too"
        )
    if name == "bf16-mixed" and accelerator == "cuda" and torch.cuda.is_available() and fast_precision("cuda") != name:
        messages.say(f"trainer.precision={wish}: this GPU has no bfloat16, so training is in 32-true")
        return "32-true"
    if name == "16-mixed" and accelerator == "cpu":
        raise UserError(f"trainer.precision={wish}: a CPU has no float16; bf16-mixed or 32-true would work")
    if name != "32-true" and accelerator == "mps":
        raise UserError(f"trainer.precision={wish}: on Apple's GPUs training is in 32-true")
    return name


class Bfloat16(MixedPrecision):
    """bfloat16 by autocast, until ``in_float32`` is set; from then on float32. Weights are in float32 throughout."""

    def __init__(self, device: str) -> None:
        super().__init__("bf16-mixed", device)
        self.in_float32 = False

    @contextmanager
    def forward_context(self) -> Generator[None, None, None]:
        with torch.autocast(self.device, torch.bfloat16, enabled=not self.in_float32, cache_enabled=False):
            yield


class Float32Tail(pl.Callback):
    """Trains the last ``share`` of the steps in float32, or of the time where ``trainer.max_time`` ends the training.

    Otherwise the step from which on is a function of the run's length.
    """

    def __init__(self, precision: Bfloat16, share: float) -> None:
        self._precision, self._share = precision, share
        self._first_step: float | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._choose(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":  # a resumed run may have had no step left
            self._choose(trainer)

    def _choose(self, trainer: pl.Trainer) -> None:
        if self._first_step is None:
            # Not in on_train_start: max_steps is unset there, until Position has been called.
            self._first_step = self._first_of(trainer)
        if self._precision.in_float32 or not (trainer.global_step >= self._first_step or self._is_late(trainer)):
            return
        self._precision.in_float32 = True
        if trainer.is_global_zero and trainer.state.fn == "fit":
            messages.say(f"step {trainer.global_step:,}: float32 from here on (trainer.float32_tail={self._share:g})")

    def _is_late(self, trainer: pl.Trainer) -> bool:
        """Whether no more than the share of the time is left."""
        timer = timer_of(trainer)
        if timer is None or not self._share:
            return False
        left = timer.time_remaining()
        assert left is not None
        late = left <= self._share * (timer.time_elapsed() + left)
        # The clocks of several processes differ, and all of them have to multiply alike.
        return bool(trainer.strategy.reduce_boolean_decision(late, all=False))

    def _first_of(self, trainer: pl.Trainer) -> float:
        """The first step in float32; infinite if there is none."""
        total = trainer.estimated_stepping_batches
        if self._share and math.isinf(total) and timer_of(trainer) is None and trainer.is_global_zero:
            messages.say("bfloat16 to the end: without trainer.max_epochs, max_steps or max_time no step is the last")
        return math.ceil((1 - self._share) * total) if self._share and total < math.inf else math.inf


class PrecisionGap(pl.Callback):
    """Measures, at each validation, what the arithmetic of training adds to the bits per dimension of some images.

    ``gap`` is float32's bits/dim minus those of the arithmetic that training uses at that step, with the weights that
    are validated. It is 0 in float32. A gap that grows means that training fits its own rounding.
    """

    def __init__(self, data: ImageDataModule) -> None:
        self._data = data
        self.gap: float | None = None
        self._told = False

    def state_dict(self) -> dict[str, Any]:
        return {"gap": self.gap}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.gap = state_dict["gap"]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn == "test":
            return
        assert isinstance(pl_module, LitDensity)
        self.gap = self._measured(trainer, pl_module)
        pl_module.log(PRECISION_GAP, self.gap, rank_zero_only=True)
        if abs(self.gap) > LARGE_GAP and not self._told and trainer.is_global_zero:
            self._told = True
            logging.getLogger(__name__).warning(
                "warning: step %d: evaluation in float32 gives %+.4f bits/dim beside the %s of training. A longer "
                "trainer.float32_tail, a lower optimizer.lr or trainer.precision=32-true makes this gap smaller",
                *(trainer.global_step, self.gap, trainer.precision),
            )

    def _measured(self, trainer: pl.Trainer, pl_module: LitDensity) -> float:
        device = pl_module.device
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            if not torch.is_autocast_enabled(device.type):
                return 0.0  # training computes what evaluation does
            split = self._data.split("val")
            batch = [part.to(device) for part in split[:IMAGES]]
            trained = in_double(pl_module.density(*batch)).mean()
            with torch.autocast(device.type, enabled=False):
                evaluated = in_double(pl_module.density(*batch)).mean()
        return float(evaluated - trained) / math.log(2)
