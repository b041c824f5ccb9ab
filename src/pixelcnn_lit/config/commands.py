"""The commands other than train: conf/evaluate.yaml, sample.yaml, score.yaml, explain.yaml, export.yaml, ..."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, create_model

from pixelcnn_lit.config.checking import check
from pixelcnn_lit.config.data import DATA_SETS, DataConfig, Source
from pixelcnn_lit.config.types import (
    Count,
    Device,
    ImageShape,
    Levels,
    Model,
    Name,
    Occlusion,
    Place,
    Plugins,
    Section,
    Seed,
    Side,
)
from pixelcnn_lit.config.values import in_words
from pixelcnn_lit.errors import UserError


class OtherData(Section):
    """The images of a command: those of the checkpoint's run, which may have moved, or other data, by their ``name``.

    The keys of the other data set are taken too. Levels, shape and the like are the checkpoint's.
    """

    model_config = ConfigDict(extra="allow")

    name: str | None
    source: Source | None
    dir: Place | None
    path: Place | None
    levels: Levels | None
    binarize: Literal["checkpoint", "dynamic"] | None
    image_shape: Annotated[ImageShape, Field(strict=False)] | None
    size: Side | None
    channels: Literal[1, 3] | None
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None
    n_classes: Annotated[int, Field(ge=0, le=65536)] | None
    split_seed: Seed | None

    @property
    def asked(self) -> dict[str, Any]:
        """The keys that the command line gives a value, and that value."""
        return {f"data.{key}": value for key, value in self.model_dump().items() if value != UNASKED.get(key)}

    def instead_of(self, trained: DataConfig, **changes: Any) -> DataConfig:
        """The config of the images: ``trained``, that of the checkpoint, with these values and ``changes``.

        Raises UserError for a key that the data set does not have, or a value that contradicts the checkpoint.
        """
        if self.name is not None and self.name not in DATA_SETS.names():
            known = ", ".join(DATA_SETS.names())
            raise UserError(f"data.name={self.name!r}: must be one of {known}, or what a module of plugins= registers")
        section = type(trained) if self.name is None else DATA_SETS[self.name].section
        kept = trained.model_dump(include=KEPT & section.model_fields.keys()) | section.of_shape(trained.image_shape)
        values = self.model_dump()
        for key in KEPT & kept.keys():
            if values[key] not in (UNASKED.get(key), kept[key]):
                asked, there = in_words(values[key]), in_words(kept[key])
                raise UserError(f"data.{key}={asked}: the checkpoint has {there}, which cannot be changed here")
        named = values.keys() - (PLACES | KEPT)
        given = {key: value for key, value in values.items() if value is not None or key in named}
        for key, value in given.items():
            if key not in section.model_fields:
                allowed = ", ".join(name for name in section.model_fields if name not in {"name", *KEPT})
                raise UserError(f"data.{key}={value}: data={self.name or trained.name} has no such key but {allowed}")
        own = trained.model_dump() if self.name is None else {}
        return checked_data(own | given | kept | changes)


KEPT = {"levels", "binarize", "image_shape", "size", "channels", "batch_size", "n_classes", "split_seed"}
"""The keys of data that a command takes from the checkpoint."""

UNASKED = {"binarize": "checkpoint"}
"""What stands for the checkpoint's value, of keys in which null does not."""

PLACES = {"name", "source", "dir", "path"}


def checked_data(values: dict[str, Any]) -> DataConfig:
    """A section of a data set. Raises UserError that names the first wrong key."""
    fields: Any = {"data": (DATA_SETS.union(), ...)}
    data: DataConfig = check({"data": values}, create_model("Data", __base__=Section, **fields)).data  # type: ignore[attr-defined]
    return data


Label = Annotated[str, Field(min_length=1), BeforeValidator(lambda v: str(v) if isinstance(v, float) else v)]
"""The name of a class, or "each". A folder may be called 1.5, which Hydra reads as a number."""


class EvaluateConfig(Section):
    """The keys of ``evaluate``."""

    plugins: Plugins
    ckpt: Model
    split: Literal["train", "val", "test"]
    n: Count | None
    binarisations: Annotated[int, Field(ge=1, le=1000)]
    out: Place | None
    beside: Model | None
    noise: list[Annotated[float, Field(gt=0, le=1)]]
    picture: Place | None
    occlude: Occlusion | None
    seed: Seed
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    device: Device
    data: OtherData


class ExportConfig(Section):
    """The keys of ``export``."""

    plugins: Plugins
    ckpt: Model
    out: Place


class SampleConfig(Section):
    """The keys of ``sample``."""

    plugins: Plugins
    ckpt: Model
    n: Annotated[int, Field(ge=1, le=1_000_000)] | None
    given: Annotated[int, Field(ge=1, le=1_000_000)] | None
    seed: Seed
    label: Annotated[int, Field(ge=0)] | Label | None
    out: Place
    gif: bool
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None
    temperature: Annotated[float, Field(ge=0, le=100)]
    method: Literal["cached", "naive"]
    occlude: Occlusion | None
    mask: Place | None
    image: Place | Annotated[list[Place], Field(min_length=1)] | None
    split: Literal["train", "val", "test"]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]
    scale: Annotated[int, Field(ge=1, le=64)] | None
    device: Device
    precision: Literal["float32", "bfloat16"]
    data: OtherData

    @property
    def completes(self) -> bool:
        """Whether completions are asked for, not samples."""
        return self.occlude is not None or self.mask is not None

    @property
    def own_pictures(self) -> list[str]:
        """The files of the user's own pictures."""
        return [self.image] if isinstance(self.image, str) else list(self.image or ())


class ExplainConfig(Section):
    """The keys of ``explain``."""

    plugins: Plugins
    ckpt: Model
    image: Place | Annotated[list[Place], Field(min_length=1)] | None
    n: Annotated[int, Field(ge=1, le=64)] | None
    split: Literal["train", "val", "test"]
    out: Place
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    device: Device
    data: OtherData


class CompressConfig(Section):
    """The keys of ``compress``."""

    plugins: Plugins
    ckpt: Model
    split: Literal["train", "val", "test"]
    n: Count | None
    out: Place
    block: Annotated[int, Field(ge=1, le=65536)]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    device: Literal["auto", "cpu", "cuda"]
    data: OtherData


class DecompressConfig(Section):
    """The keys of ``decompress``."""

    plugins: Plugins
    ckpt: Model
    file: Place
    first: Annotated[int, Field(ge=0)]
    n: Count | None
    out: Place
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    device: Literal["auto", "cpu", "cuda"]


class OwnData(Section):
    """Where the images of the checkpoint's run are now; null: where they were."""

    source: Source | None
    dir: Place | None
    path: Place | None

    def moved(self, trained: DataConfig, **changes: Any) -> DataConfig:
        """The config ``trained`` of the checkpoint's images, with these places and ``changes``.

        Raises UserError for a key that the data set does not have.
        """
        given = self.model_dump(exclude_none=True)
        for key, value in given.items():
            if key not in type(trained).model_fields:
                allowed = ", ".join(
                    f"own.{name}" for name in OwnData.model_fields if name in type(trained).model_fields
                )
                raise UserError(f"own.{key}={value}: data={trained.name} has no such key but {allowed}")
        return checked_data(trained.model_dump() | given | changes)


class ScoreConfig(Section):
    """The keys of ``score``."""

    plugins: Plugins
    ckpt: Model
    split: Literal["train", "val", "test", "all"]
    n: Count | None
    background: Model | None
    ensemble: Annotated[list[Model], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]
    typicality_batch: Annotated[int, Field(ge=1, le=65536)]
    out: Place
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    device: Device
    data: OtherData
    own: OwnData


class DemoConfig(Section):
    """The keys of ``demo``."""

    plugins: Plugins
    ckpt: Model
    beside: Model | None
    n: Annotated[int, Field(ge=1, le=10_000)]
    host: Name
    port: Annotated[int, Field(ge=1, le=65535)]
    device: Device
    data: OtherData


class PretrainedConfig(Section):
    """The keys of ``pretrained``: none."""


class ReceptiveFieldConfig(Section):
    """The keys of ``receptive_field``."""

    plugins: Plugins
    models: Name | list[Name]
    ckpt: Model | list[Model] | None
    size: Annotated[tuple[Side, Side], Field(strict=False)]
    draws: Annotated[int, Field(ge=1, le=64)]
    seed: Seed
    dpi: Annotated[int, Field(ge=20, le=1200)]
    out: Place
