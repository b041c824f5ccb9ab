"""conf/vqvae.yaml and conf/autoencoder: the autoencoder of VQ-VAE and VQ-VAE-2, and its training."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from pixelcnn_lit.config.codes import CODE_LEVELS, STAGE, of_level
from pixelcnn_lit.config.train import RunConfig
from pixelcnn_lit.config.types import NCodes, Section
from pixelcnn_lit.config.values import typed


def power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("must be a power of two: 2, 4, 8, 16 or 32")
    return value


Factor = Annotated[int, Field(ge=2, le=32), AfterValidator(power_of_two)]
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


class PriorsConfig(Section):
    """What ``train`` is told for the prior of each level of codes: a list of overrides, or null for no prior."""

    top: list[str] | None
    middle: list[str] | None
    bottom: list[str] | None


class AutoencoderRunConfig(RunConfig):
    """The keys of a run that trains an autoencoder."""

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


class VqvaeConfig(AutoencoderRunConfig):
    """The keys of ``vqvae``: of the autoencoder's run, and what is told to those of the priors."""

    priors: PriorsConfig

    @property
    def first(self) -> AutoencoderRunConfig:
        """The config of the autoencoder's run."""
        values = {name: getattr(self, name) for name in AutoencoderRunConfig.model_fields}
        return AutoencoderRunConfig.complete()(**values)

    def told(self, folder: str, digest: str | None) -> dict[str, list[str]]:
        """The overrides of ``train`` for each prior, the top first; the run is that of ``folder``.

        ``digest`` is that of the autoencoder's checkpoint, None before it is trained. Raises ValueError for a prior of
        a level that the autoencoder lacks.
        """
        factors, images = self.autoencoder.downsampling, self.data
        every: dict[str, list[str]] = {}
        for level in CODE_LEVELS[3]:
            own = getattr(self.priors, level)
            if own is None:
                continue
            known = of_level(level, factors, self.autoencoder.n_codes, images.image_shape, images.n_classes)
            shape = str(list(known.pop("image_shape"))).replace(" ", "")
            place = {"ckpt": f"{folder}/{STAGE}", "level": level, "digest": digest, **known}
            codes = [f"data.image_shape={shape}", *(f"data.{key}={typed(value)}" for key, value in place.items())]
            below = ["context=codes"] * (known["factor"] is not None)
            loggers = [] if any(word.startswith("logger=") for word in own) else self._loggers()
            every[level] = ["data=codes", *codes, *below, f"seed={self.seed}", *loggers, *own]
            every[level] += [f"overwrite={typed(self.overwrite)}"]
        return every

    def _loggers(self) -> list[str]:
        """The overrides that give another run the loggers of this one."""
        chosen = self.logger.model_dump(exclude_none=True)
        settings = [(name, key, value) for name, of in chosen.items() for key, value in of.items()]
        words = [f"logger.{name}.{key}={typed(value)}" for name, key, value in settings]
        return [f"logger=[{','.join(chosen)}]" if chosen else "logger=none", *words]
