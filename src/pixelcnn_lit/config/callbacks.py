"""conf/callbacks: early stopping, weight averaging and pictures during training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pixelcnn_lit.config.types import Count, Section


class EarlyStoppingConfig(Section):
    """Stop if val/bits_per_dim does not improve by ``min_delta`` for ``patience`` validations; null: never."""

    patience: Count | None
    min_delta: Annotated[float, Field(ge=0)]


class EmaConfig(Section):
    """Evaluate, save and sample with an exponential moving average of the weights; ``decay`` null: no average."""

    decay: Annotated[float, Field(gt=0, lt=1)] | None


class PicturesConfig(Section):
    """Grids of ``n`` samples and completions in TensorBoard, every ``every_n_epochs`` epochs; 0: never."""

    every_n_epochs: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(ge=1, le=1024)]


class CallbacksConfig(Section):
    """conf/callbacks/default.yaml."""

    early_stopping: EarlyStoppingConfig
    ema: EmaConfig
    pictures: PicturesConfig
