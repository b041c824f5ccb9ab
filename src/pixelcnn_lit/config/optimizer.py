"""conf/optimizer: the optimiser and its learning rate schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pixelcnn_lit.config.types import Section

Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Section):
    """conf/optimizer/adamw.yaml, adam_exponential.yaml and muon.yaml."""

    name: Literal["adam", "adamw", "muon"]
    lr: Annotated[float, Field(gt=0, le=10)]
    betas: Annotated[tuple[Beta, Beta], Field(strict=False)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "cosine", "exponential"]
    warmup_steps: Annotated[int, Field(ge=0)]
    gamma: Annotated[float, Field(gt=0, le=1)]
