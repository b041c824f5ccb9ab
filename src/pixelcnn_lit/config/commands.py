"""conf/evaluate.yaml, sample.yaml, export.yaml and receptive_field.yaml: the commands other than train."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pixelcnn_lit.config.data import DataConfig, Source
from pixelcnn_lit.config.types import Place, Plugins, Section, Seed, Side
from pixelcnn_lit.errors import UserError


class OtherData(Section):
    """The place of the images, if they have moved since the checkpoint was trained."""

    source: Source | None
    dir: Place | None
    path: Place | None

    def instead_of(self, trained: DataConfig, **changes: Any) -> DataConfig:
        """``trained``, the data config of the checkpoint, with these values and ``changes``.

        Raises UserError for a key that ``trained`` does not have.
        """
        moved = self.model_dump(exclude_none=True)
        for key, value in moved.items():
            if key not in type(trained).model_fields:
                allowed = ", ".join(name for name in type(self).model_fields if name in type(trained).model_fields)
                raise UserError(
                    f"data.{key}={value}: the checkpoint's data, {trained.name}, has no such key but {allowed}"
                )
        return trained.model_copy(update=moved | changes)


class EvaluateConfig(Section):
    """The keys of ``evaluate``."""

    plugins: Plugins
    ckpt: Place
    split: Literal["train", "val", "test"]
    out: Place | None
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    device: Literal["auto", "cpu", "cuda"]
    data: OtherData


class ExportConfig(Section):
    """The keys of ``export``."""

    plugins: Plugins
    ckpt: Place
    out: Place


class SampleConfig(Section):
    """The keys of ``sample``."""

    plugins: Plugins
    ckpt: Place
    n: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Seed
    label: Annotated[int, Field(ge=0)] | Literal["each"] | None
    out: Place
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None
    temperature: Annotated[float, Field(ge=0, le=100)]
    method: Literal["cached", "naive"]
    occlude: Literal["bottom", "top", "left", "right"] | None
    mask: Place | None
    split: Literal["train", "val", "test"]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    scale: Annotated[int, Field(ge=1, le=64)] | None
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    data: OtherData


class ReceptiveFieldConfig(Section):
    """The keys of ``receptive_field``."""

    plugins: Plugins
    models: Place | list[Place]
    ckpt: Place | list[Place] | None
    size: Annotated[tuple[Side, Side], Field(strict=False)]
    draws: Annotated[int, Field(ge=1, le=64)]
    seed: Seed
    dpi: Annotated[int, Field(ge=20, le=1200)]
    out: Place
