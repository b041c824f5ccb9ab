"""conf/vqvae.yaml and conf/autoencoder: the autoencoder of VQ-VAE and VQ-VAE-2, and its training."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from pixelcnn_lit.config.train import RunConfig
from pixelcnn_lit.config.types import Section


def power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("must be a power of two: 2, 4, 8, 16 or 32")
    return value


Factor = Annotated[int, Field(ge=2, le=32), AfterValidator(power_of_two)]
NCodes = Annotated[int, Field(ge=2, le=65536)]
Width = Annotated[int, Field(ge=1, le=2048)]


class AutoencoderConfig(Section):
    """conf/autoencoder/*.yaml."""

    downsampling: Annotated[list[Factor], Field(min_length=1, max_length=3)]
    n_codes: NCodes
    code_size: Width
    hidden: Width
    n_res: Annotated[int, Field(ge=0, le=256)]
    res_hidden: Width
    commitment: Annotated[float, Field(ge=0)]
    decay: Annotated[float, Field(ge=0, lt=1)]
    revive_below: Annotated[float, Field(ge=0)]


class AutoencoderRunConfig(RunConfig):
    """The keys of ``vqvae``: of a run that trains an autoencoder."""

    autoencoder: AutoencoderConfig

    @property
    def what(self) -> str:
        return "vqvae"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        factors, (_, height, width) = self.autoencoder.downsampling, self.data.image_shape
        whole = math.prod(factors)
        if height % whole or width % whole:
            raise ValueError(
                f"autoencoder.downsampling={factors}: the images' height and width, {height} and {width}, must be "
                f"multiples of {whole}, the product of the factors"
            )
        return self
