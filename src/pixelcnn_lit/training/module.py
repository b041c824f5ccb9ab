"""The LightningModule: loss, metrics and optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, distributed, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.checkpoint import checkpoint as recompute

from pixelcnn_lit import messages
from pixelcnn_lit.config import OptimizerConfig, TrainConfig
from pixelcnn_lit.data.datamodule import Batch, BatchIndices, ImageDataModule
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.metrics import TRAIN, BitsPerDim
from pixelcnn_lit.storage import checkpoint

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class LitDensity(pl.LightningModule):
    """Trains a density by its negative log-likelihood, in nats per dimension, and reports bits per dimension."""

    def __init__(self, density: Density, config: TrainConfig) -> None:
        """``config`` is saved in every checkpoint, so that the density can be built again."""
        super().__init__()
        self.density = density
        self.config = config
        self._train: Callable[..., Tensor] = density.forward
        if config.trainer.checkpoint_activations:
            checkpoint_activations(density.network)
        if config.trainer.compile is not None:
            # Evaluation and sampling are not compiled: each new batch size would be compiled again.
            self._train = torch.compile(density.forward, mode=config.trainer.compile, dynamic=False)
        self.val_metric, self.test_metric = BitsPerDim(), BitsPerDim()

    def on_train_start(self) -> None:
        """Follow the schedule of this run's length from its first step, also after a checkpoint of a shorter run."""
        schedule = self.lr_schedulers()
        assert isinstance(schedule, LambdaLR)
        step = schedule.last_epoch
        for group, lr, factor in zip(
            schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
        ):
            before, group["lr"] = group["lr"], lr * factor(step)
            if group["lr"] != before and self.trainer.is_global_zero:
                messages.say(
                    f"the learning rate follows the course of this run's length: {group['lr']:.3g} at step {step:,}, "
                    f"where the run before ended with {before:.3g}"
                )

    def setup(self, stage: str) -> None:
        """Take the names of the classes from the data, if nobody has given any: every checkpoint has to hold them."""
        data = getattr(self.trainer, "datamodule", None)
        names = data.class_names if isinstance(data, ImageDataModule) else ()
        if not self.density.class_names and len(names) == self.density.n_classes:
            self.density.class_names = names

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        nats = self._train(*batch)
        dimensions = math.prod(nats.shape[1:])
        sums = torch.stack([nats.detach().double().sum(), nats.new_full((), nats.numel(), dtype=torch.double)])
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        self.log(TRAIN, sums[0] / sums[1] / math.log(2), batch_size=len(batch[0]))
        # Lightning averages gradients over processes, and divides them by the number of accumulated batches. With these
        # factors the result is the gradient of the mean over the step's images, however they are shared out.
        parts = self.trainer.world_size * self.trainer.accumulate_grad_batches
        return nats.sum() * (parts / (self.images_in_step(batch_idx) * dimensions))

    def images_in_step(self, batch_idx: int) -> int:
        """The number of images, over all processes, whose gradients the step of this batch accumulates.

        The last step of an epoch may accumulate fewer batches than the others, and its last batch may be smaller.
        """
        size, loader = self.trainer.accumulate_grad_batches, self.trainer.train_dataloader
        assert loader is not None
        assert isinstance(loader.sampler, BatchIndices)
        first = batch_idx // size * size
        return loader.sampler.images_in(first, min(first + size, int(self.trainer.num_training_batches)))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", self.val_metric, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", self.test_metric, batch)

    def _evaluate(self, split: str, metric: BitsPerDim, batch: Batch) -> None:
        with torch.autocast(self.device.type, enabled=False):
            metric.update(self.density(*batch))
        self.log(f"{split}/bits_per_dim", metric, prog_bar=True, batch_size=len(batch[0]))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config = self.config.optimizer
        fused = self.trainer.precision != "16-mixed"  # there, clipping needs unscaled gradients
        optimizer = OPTIMIZERS[config.name](
            self.parameters(), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=fused
        )
        schedule = LambdaLR(optimizer, learning_rate_schedule(config, self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        plugin, clip = self.trainer.precision_plugin, gradient_clip_val or 0.0
        algorithm = GradClipAlgorithmType(gradient_clip_algorithm or GradClipAlgorithmType.NORM)
        if self.trainer.precision == "bf16-mixed":
            # Lightning refuses to clip for a fused optimiser in mixed precision. In bfloat16 the loss is not scaled, so
            # clipping is correct.
            Precision.clip_gradients(plugin, optimizer, clip, algorithm)
        else:
            plugin.clip_gradients(optimizer, clip, algorithm)

    def on_save_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        checkpoint_[checkpoint.KEY] = checkpoint.header(self.config, self.density.class_names)


def checkpoint_activations(network: nn.Module) -> None:
    """Activation checkpointing: in training, each block stores only its input, and is computed again for the gradient.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016), arXiv 1604.06174.
    """
    for blocks in network.modules():
        if isinstance(blocks, nn.ModuleList):
            for block in blocks:
                block.forward = partial(_recomputed, block.forward)


def _recomputed(forward: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*arguments, **options)
    return recompute(forward, *arguments, use_reentrant=False, preserve_rng_state=True, **options)


def learning_rate_schedule(config: OptimizerConfig, total_steps: float) -> Callable[[int], float]:
    """The factor of ``optimizer.lr`` as a function of the step: a linear warm-up times the schedule.

    The schedule is 1 ("constant"), gamma^step ("exponential"), or half a cosine from 1 to 0 ("cosine").

    Raises UserError for "cosine" if the number of steps is not known.
    """
    if config.schedule == "cosine" and math.isinf(total_steps):
        raise UserError("optimizer.schedule=cosine: needs an end; set trainer.max_epochs or trainer.max_steps")

    def factor(step: int) -> float:
        warm_up = min(1.0, (step + 1) / (config.warmup_steps + 1))
        if config.schedule == "exponential":
            return warm_up * config.gamma**step
        if config.schedule == "cosine":
            return warm_up * (1 + math.cos(math.pi * min(1.0, step / max(1, total_steps)))) / 2
        return warm_up

    return factor
