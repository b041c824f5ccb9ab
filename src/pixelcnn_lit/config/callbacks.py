"""conf/callbacks: what happens beside the training itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pixelcnn_lit.config.types import Count, Section


class EarlyStoppingConfig(Section):
    """Stop when val/bits_per_dim has not improved for ``patience`` validations; null: never."""

    patience: Count | None
    min_delta: Annotated[float, Field(ge=0)]


class EmaConfig(Section):
    """Evaluate, save and sample an exponential moving average of the weights; ``decay`` null: the last weights."""

    decay: Annotated[float, Field(gt=0, lt=1)] | None


class PicturesConfig(Section):
    """Grids of samples and completions in TensorBoard every so many epochs (0: never), and how many images."""

    every_n_epochs: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(ge=1, le=1024)]


class CallbacksConfig(Section):
    """conf/callbacks/default.yaml."""

    early_stopping: EarlyStoppingConfig
    ema: EmaConfig
    pictures: PicturesConfig
