"""The LightningModule of a density: loss and metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.utils.checkpoint import checkpoint as recompute

from pixelcnn_lit.config import TrainConfig
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.data.images import Batch, TrainingBatch
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import widest
from pixelcnn_lit.metrics import BitsPerDim
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.training.base import LitModel
from pixelcnn_lit.training.compiled import Compiled


class LitDensity(LitModel):
    """Trains a density by its negative log-likelihood, in nats per dimension, and reports bits per dimension.

    Where the images of a batch were drawn and it has their chances, the loss of a dimension is its mean over that draw.
    """

    score = BITS

    def __init__(self, density: Density, config: TrainConfig) -> None:
        """``config`` is saved in every checkpoint, so that the density can be built again."""
        super().__init__(config)
        self.density = density
        self._train: Callable[..., Tensor] = density.forward
        if config.trainer.checkpoint_activations:
            checkpoint_activations(density.network)
        if config.trainer.compile is not None:
            # Evaluation and sampling are not compiled: each new batch size would be compiled again.
            self._train = Compiled(density.forward, config.trainer.compile)
        self.val_metric, self.test_metric = BitsPerDim(), BitsPerDim()

    @property
    def model(self) -> Density:
        return self.density

    def initialise(self, batch: TrainingBatch) -> None:
        self.density.initialise(*batch[:3])

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.density.class_names

    def setup(self, stage: str) -> None:
        """Take the names of the classes from the data, if nobody has given any: every checkpoint has to hold them."""
        data = getattr(self.trainer, "datamodule", None)
        names = data.class_names if isinstance(data, ImageDataModule) else ()
        if not self.density.class_names and len(names) == self.density.n_classes:
            self.density.class_names = names

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        nats = self._train(*batch)
        dimensions = math.prod(nats.shape[1:])
        wide = widest(nats.device)
        sums = torch.stack([nats.detach().sum(dtype=wide), nats.new_full((), nats.numel(), dtype=wide)])
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        self.log_train(sums[0] / sums[1] / math.log(2), len(batch[0]))
        return nats.sum() * (self.share_of_step(batch_idx) / dimensions)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", self.val_metric, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", self.test_metric, batch)

    def _evaluate(self, split: str, metric: BitsPerDim, batch: Batch) -> None:
        with torch.autocast(self.device.type, enabled=False):
            metric.update(self.density(*batch))
        self.log(f"{split}/bits_per_dim", metric, prog_bar=True, batch_size=len(batch[0]))


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
