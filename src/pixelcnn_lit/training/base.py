"""What the LightningModules share: the optimiser, its schedule, and whose gradients a step accumulates."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from pixelcnn_lit import messages
from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config import OptimizerConfig, RunConfig
from pixelcnn_lit.data.images import BatchIndices, TrainingBatch
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.scores import Score
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training.muon import Muon

EPOCH = "train_scores_of_epoch"
"""The key, in a checkpoint, of the sum of its epoch's training scores so far, and of the number of their images."""
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}


class LitModel(pl.LightningModule, ABC):
    """The training of a model by the optimiser of ``config``, which is saved in every checkpoint.

    A subclass has the model as the attribute that :data:`~pixelcnn_lit.storage.checkpoint.PREFIXES` names.
    """

    score: ClassVar[Score]
    """The score by which checkpoints are compared."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.config = config
        self._sum, self._images = torch.zeros(()), 0

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        if batch_idx == 0:  # a resumed epoch begins with a later one
            self._sum, self._images = torch.zeros(()), 0

    def log_train(self, score: Tensor, images: int) -> None:
        """Log the score of a training batch of so many images."""
        self.log(self.score.train, score, batch_size=images)
        # Not read here, since the host would wait for the device.
        self._sum, self._images = self._sum.to(score) + score.detach() * images, self._images + images

    @property
    def train_mean(self) -> float | None:
        """The mean score of the images of this epoch so far, each by the weights of its step; None before the first.

        A resumed run's has those before it was stopped, too.
        """
        return float(self._sum) / self._images if self._images else None

    @property
    @abstractmethod
    def model(self) -> Density | Autoencoder:
        """The model that is trained."""

    @abstractmethod
    def initialise(self, batch: TrainingBatch) -> None:
        """Initialise the model on a first batch of training images."""

    def on_train_start(self) -> None:
        """Follow the schedule of this run's length from its first step, also after a checkpoint of a shorter run."""
        schedule = self.lr_schedulers()
        assert isinstance(schedule, LambdaLR)
        step = schedule.last_epoch
        told: set[float] = set()
        for group, lr, factor in zip(
            schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
        ):
            before, group["lr"] = group["lr"], lr * factor(step)
            if group["lr"] not in (before, *told) and self.trainer.is_global_zero:
                told.add(group["lr"])
                messages.say(
                    f"the learning rate follows the course of this run's length: {group['lr']:.3g} at step {step:,}, "
                    f"where the run before ended with {before:.3g}"
                )

    def share_of_step(self, batch_idx: int) -> float:
        """The factor of the loss of an image, summed over the images of a batch.

        Lightning averages gradients over processes, and divides them by the number of accumulated batches. With this
        factor the result is the gradient of the mean over the step's images, however they are shared out.
        """
        parts = self.trainer.world_size * self.trainer.accumulate_grad_batches
        return parts / self.images_in_step(batch_idx)

    def images_in_step(self, batch_idx: int) -> int:
        """The number of images, over all processes, whose gradients the step of this batch accumulates.

        The last step of an epoch may accumulate fewer batches than the others, and its last batch may be smaller.
        """
        size, loader = self.trainer.accumulate_grad_batches, self.trainer.train_dataloader
        assert loader is not None
        assert isinstance(loader.sampler, BatchIndices)
        first = batch_idx // size * size
        return loader.sampler.images_in(first, min(first + size, int(self.trainer.num_training_batches)))

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
        checkpoint_[checkpoint.KEY] = checkpoint.header(self.config, self.class_names)
        checkpoint_[EPOCH] = {"sum": self._sum.cpu(), "images": self._images}

    def on_load_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        if EPOCH in checkpoint_:  # an older one has none
            self._sum, self._images = checkpoint_[EPOCH]["sum"], checkpoint_[EPOCH]["images"]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the model's classes, which every checkpoint holds."""
        return ()


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
