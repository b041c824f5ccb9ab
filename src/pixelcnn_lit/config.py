"""What a run may be told: every key with its type and range, checked before anything costs time or memory.

Hydra composes conf/ and the command line into a dictionary; :func:`check` turns that into a :class:`TrainConfig`,
or says in one line which key is wrong, what it got and what is allowed. Checkpoints carry the same dictionary and go
through the same check, so that a file can only ask for what a user could.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pixelcnn_lit.errors import UserError


def conf_dir() -> Path:
    """Where the Hydra configs are: inside an installed package, else at the top of the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


def inside(name: str) -> str:
    """A name of a run, which may have parts but stays below outputs/. Raise ValueError for one that does not."""
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise ValueError("must name a folder below outputs/")
    return name


def _duration(text: str) -> str:
    if not re.fullmatch(r"\d+:\d{1,2}:\d{1,2}:\d{1,2}", text):
        raise ValueError("must be DD:HH:MM:SS, days to seconds")
    return text


def _some(devices: int) -> int:
    if devices == 0:
        raise ValueError("must be a number of at least 1, -1 for all, a list of their indices, or auto")
    return devices


def _zero(value: float) -> float:
    if value != 0:
        raise ValueError("Lightning would replace the batches of this package; use trainer.limit_train_batches")
    return value


Levels = Annotated[int, Field(ge=2, le=256)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
KernelSize = Annotated[int, Field(ge=1, le=63), AfterValidator(_odd)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=4096)]
Place = Annotated[str, Field(min_length=1)]
"""A file or a folder."""
Source = Literal["auto", "torchvision", "embedded"]
ImageShape = tuple[Annotated[int, Field(ge=1, le=4)], Side, Side]
Limit = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)]
"""A number of batches, or a fraction of them."""


class Section(BaseModel):
    """One group of keys. Unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """conf/data: which images, and how they become levels. What a data set asks for beside is in its own class."""

    name: str
    levels: Levels
    binarize: Literal["dynamic"] | None
    image_shape: Annotated[ImageShape, Field(strict=False)]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    n_classes: Annotated[int, Field(ge=0, le=65536)]
    split_seed: Seed

    @model_validator(mode="after")
    def _binary(self) -> Self:
        if self.binarize is not None and self.levels != 2:
            raise ValueError(f"data.binarize={self.binarize}: needs data.levels=2, not {self.levels}")
        return self


class MnistData(DataConfig):
    """conf/data/mnist.yaml, fashion_mnist.yaml and digits.yaml."""

    name: Literal["mnist", "fashion_mnist"]
    source: Source
    dir: Place


class Cifar10Data(DataConfig):
    """conf/data/cifar10.yaml."""

    name: Literal["cifar10"]
    dir: Place


class NpzData(DataConfig):
    """conf/data/npz.yaml: a file of numpy arrays."""

    name: Literal["npz"]
    path: Place


class ImagesData(DataConfig):
    """conf/data/images.yaml: a folder of image files, resized to ``size`` x ``size``; ``dir`` keeps them decoded."""

    name: Literal["images"]
    path: Place
    size: Side
    channels: Literal[1, 3]
    dir: Place


AnyData = Annotated[MnistData | Cifar10Data | NpzData | ImagesData, Field(discriminator="name")]


class NetworkConfig(Section):
    """What the networks have in common. ``levels`` and ``image_shape`` follow data by interpolation."""

    name: str
    n_res: Annotated[int, Field(ge=0, le=256)]
    hidden: Annotated[int, Field(ge=1, le=2048)]
    n_classes: Annotated[int, Field(ge=1, le=1000)] | None
    levels: Levels
    image_shape: Annotated[ImageShape, Field(strict=False)]


class PixelCNNConfig(NetworkConfig):
    """conf/model/pixelcnn.yaml."""

    name: Literal["pixelcnn"]
    kernel_size: KernelSize
    first_kernel_size: Annotated[int, Field(ge=3, le=63), AfterValidator(_odd)]


class GatedPixelCNNConfig(NetworkConfig):
    """conf/model/gated_pixelcnn.yaml."""

    name: Literal["gated_pixelcnn"]
    kernel_size: KernelSize
    first_kernel_size: Annotated[int, Field(ge=3, le=63), AfterValidator(_odd)]
    dilations: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=256)]


class PixelCNNppConfig(NetworkConfig):
    """conf/model/pixelcnn_pp.yaml."""

    name: Literal["pixelcnn_pp"]
    resolutions: Annotated[int, Field(ge=1, le=8)]
    dropout: Annotated[float, Field(ge=0, lt=1)]


ModelConfig = Annotated[PixelCNNConfig | GatedPixelCNNConfig | PixelCNNppConfig, Field(discriminator="name")]


class CategoricalConfig(Section):
    """conf/likelihood/categorical.yaml."""

    name: Literal["categorical"]


class LogisticMixtureConfig(Section):
    """conf/likelihood/logistic_mixture.yaml."""

    name: Literal["logistic_mixture"]
    n_mix: Annotated[int, Field(ge=1, le=100)]


LikelihoodConfig = Annotated[CategoricalConfig | LogisticMixtureConfig, Field(discriminator="name")]


class OptimizerConfig(Section):
    """conf/optimizer: the optimiser and the course of its learning rate."""

    name: Literal["adam", "adamw"]
    lr: Annotated[float, Field(gt=0, le=10)]
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]], Field(strict=False)
    ]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "cosine", "exponential"]
    warmup_steps: Annotated[int, Field(ge=0)]
    gamma: Annotated[float, Field(gt=0, le=1)]


class TrainerConfig(Section):
    """conf/trainer: the arguments of Lightning's Trainer, by its names; it checks the types left open here.

    ``compile``, ``checkpoint_activations`` and precision "auto" are this package's own.
    """

    accelerator: str
    strategy: str
    devices: Annotated[int, AfterValidator(_some)] | str | list[int]
    num_nodes: Count
    precision: int | str | None
    fast_dev_run: bool | int
    max_epochs: Annotated[int, Field(ge=-1)] | None
    min_epochs: Count | None
    max_steps: Annotated[int, Field(ge=-1)]
    min_steps: Count | None
    max_time: (
        Annotated[str, AfterValidator(_duration), Field(json_schema_extra={"words": "DD:HH:MM:SS, days to seconds"})]
        | dict[Literal["days", "hours", "minutes", "seconds"], int]
        | None
    )
    limit_train_batches: Limit | None
    limit_val_batches: Limit | None
    limit_test_batches: Limit | None
    limit_predict_batches: Limit | None
    overfit_batches: Annotated[float, AfterValidator(_zero)]
    val_check_interval: Count | Annotated[float, Field(gt=0, le=1)] | None
    check_val_every_n_epoch: Count | None
    num_sanity_val_steps: Annotated[int, Field(ge=-1)] | None
    log_every_n_steps: Annotated[int, Field(ge=0)] | None
    enable_checkpointing: bool | None
    enable_progress_bar: bool | None
    enable_model_summary: bool | None
    accumulate_grad_batches: Count
    checkpoint_activations: bool
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None
    gradient_clip_val: Annotated[float, Field(ge=0)] | None
    gradient_clip_algorithm: Literal["norm", "value"] | None
    deterministic: bool | Literal["warn"] | None
    benchmark: bool | None
    inference_mode: bool
    use_distributed_sampler: Literal[False]
    profiler: str | None
    detect_anomaly: bool
    barebones: Literal[False]
    sync_batchnorm: bool
    reload_dataloaders_every_n_epochs: Annotated[int, Field(ge=0)]
    default_root_dir: str | None
    enable_autolog_hparams: bool
    model_registry: str | None


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
    """conf/callbacks: what happens beside the training itself."""

    early_stopping: EarlyStoppingConfig
    ema: EmaConfig
    pictures: PicturesConfig


class LoggerConfig(Section):
    """conf/logger: where the curves go."""

    name: Literal["tensorboard", "none"]


class CheckpointConfig(Section):
    """How often last.ckpt is written inside an epoch; null: only at its end and when a signal ends the run."""

    every_minutes: Annotated[float, Field(gt=0)] | None


class TrainConfig(Section):
    """The whole configuration of a training run."""

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(inside)] | None
    overwrite: bool
    seed: Seed
    ckpt: str | None
    checkpoint: CheckpointConfig
    on_nan: Literal["stop", "skip"]
    data: AnyData
    model: ModelConfig
    likelihood: LikelihoodConfig
    optimizer: OptimizerConfig
    trainer: TrainerConfig
    callbacks: CallbacksConfig
    logger: LoggerConfig

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model.levels != self.data.levels or self.model.image_shape != self.data.image_shape:
            raise ValueError("model.levels and model.image_shape follow data.levels and data.image_shape: set those")
        if self.model.n_classes is not None and self.model.n_classes != self.data.n_classes:
            raise ValueError(
                f"model.n_classes={self.model.n_classes}: {self.data.name} has {self.data.n_classes} classes; "
                "set model.n_classes='${data.n_classes}', or null for a model without classes"
            )
        channels, hidden = self.model.image_shape[0], self.model.hidden
        if channels > 1 and self.likelihood.name == "categorical":
            if self.model.name == "gated_pixelcnn" and hidden % channels:
                near = hidden - hidden % channels
                raise ValueError(
                    f"model.hidden={hidden}: must be a multiple of the images' {channels} channels, such as "
                    f"{max(near, channels)} or {near + channels}"
                )
            if self.model.name == "pixelcnn_pp":
                raise ValueError(
                    "likelihood=categorical: model=pixelcnn_pp does not tell the channels of a pixel apart; "
                    "images in colour need likelihood=logistic_mixture"
                )
        return self


class OtherData(Section):
    """Where the images are now, if not where the checkpoint's run found them."""

    source: Source | None
    dir: Place | None
    path: Place | None

    def instead_of(self, trained: DataConfig, **changes: Any) -> DataConfig:
        """The data of the checkpoint's run, read from where they are now. Raise UserError for a key they don't have."""
        moved = self.model_dump(exclude_none=True)
        for key, value in moved.items():
            if key not in type(trained).model_fields:
                allowed = ", ".join(name for name in type(self).model_fields if name in type(trained).model_fields)
                raise UserError(
                    f"data.{key}={value}: the checkpoint's data, {trained.name}, has no such key but {allowed}"
                )
        return trained.model_copy(update=moved | changes)


class EvaluateConfig(Section):
    """What ``evaluate`` may be told."""

    ckpt: Annotated[str, Field(min_length=1)]
    split: Literal["train", "val", "test"]
    out: str | None
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    device: Literal["auto", "cpu", "cuda"]
    data: OtherData


class ExportConfig(Section):
    """What ``export`` may be told."""

    ckpt: Annotated[str, Field(min_length=1)]
    out: Annotated[str, Field(min_length=1)]


class SampleConfig(Section):
    """What ``sample`` may be told."""

    ckpt: Annotated[str, Field(min_length=1)]
    n: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Seed
    label: Annotated[int, Field(ge=0)] | Literal["each"] | None
    out: Annotated[str, Field(min_length=1)]
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None
    temperature: Annotated[float, Field(ge=0, le=100)]
    method: Literal["cached", "naive"]
    occlude: Literal["bottom", "top", "left", "right"] | None
    mask: str | None
    split: Literal["train", "val", "test"]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    scale: Annotated[int, Field(ge=1, le=64)] | None
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    data: OtherData


class ReceptiveFieldConfig(Section):
    """What ``receptive_field`` may be told."""

    models: Place | list[Place]
    ckpt: Place | list[Place] | None
    size: Annotated[tuple[Side, Side], Field(strict=False)]
    draws: Annotated[int, Field(ge=1, le=64)]
    seed: Seed
    dpi: Annotated[int, Field(ge=20, le=1200)]
    out: Place


S = TypeVar("S", bound=Section)


def check(config: DictConfig | Mapping[str, Any], section: type[S], where: str = "") -> S:
    """Make the ``section`` of a composed config. Raise UserError that names the first wrong key, after ``where``."""
    try:
        plain = (
            OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            if isinstance(config, DictConfig)
            else config
        )
    except MissingMandatoryValue as error:
        raise UserError(f"{where}{error.full_key}: missing; give {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        key = f"{error.full_key}: " if error.full_key and error.full_key not in reason else ""
        raise UserError(f"{where}{key}{reason}") from error
    try:
        return section.model_validate(plain)
    except ValidationError as error:
        raise UserError(where + _explain(error, section)) from error


def _explain(error: ValidationError, section: type[BaseModel]) -> str:
    details = error.errors()[0]
    # pydantic also names the branch of a union that failed: those parts are no keys.
    schema: dict[str, Any] = section.model_json_schema()
    node, keys = schema, []
    for part in details["loc"]:
        node = _resolve(node, schema)
        if part in (tags := node.get("discriminator", {}).get("mapping", {})):
            node = _resolve({"$ref": tags[part]}, schema)
            continue
        for option in node.get("anyOf", []):
            if isinstance(part, int) and ("prefixItems" in option or "items" in option):
                node = option
        if isinstance(part, str) and part in node.get("properties", {}):
            node = node["properties"][part]
        elif isinstance(part, int):
            node = node.get("prefixItems", [{}] * (part + 1))[part] if "prefixItems" in node else node.get("items", {})
        elif details["type"] != "extra_forbidden":
            continue
        keys.append(str(part))
    key = ".".join(keys)
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        got = f"={details['ctx']['tag']!r}" if "tag" in details["ctx"] else ": missing"
        return f"{key}.name{got}: must be one of {', '.join(_resolve(node, schema)['discriminator']['mapping'])}"
    if details["type"] == "extra_forbidden":
        allowed = ", ".join(_resolve(node, schema).get("properties", {}))
        return f"{key}: no such key; allowed here: {allowed}"
    if details["type"] == "missing":
        return f"{key}: missing; must be {_describe(node, schema)}"
    if details["type"] == "value_error" and isinstance(details["input"], Mapping):  # of several keys together
        return details["msg"].removeprefix("Value error, ")
    allowed = _describe(node, schema)
    if details["type"] == "value_error":
        reason = details["msg"].removeprefix("Value error, ")
        return f"{key}={details['input']!r}: {reason if reason != 'must be odd' else 'must be odd, ' + allowed}"
    return f"{key}={details['input']!r}: must be {allowed}"


def _resolve(node: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return dict(node)


def _describe(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    node = _resolve(node, schema)
    if "words" in node:
        return str(node["words"])
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_describe(option, schema) for option in node["anyOf"]))
    if "enum" in node:
        return "one of " + ", ".join(str(value) for value in node["enum"])
    if "const" in node:
        return str(node["const"]).lower()
    if "prefixItems" in node:
        return "[" + ", ".join(_describe(item, schema) for item in node["prefixItems"]) + "]"
    kinds = {
        "integer": "an integer",
        "number": "a number",
        "string": "a text",
        "boolean": "true or false",
        "null": "null",
        "array": "a list",
        "object": "a group of keys",
    }
    text = kinds.get(str(node.get("type")), "another value")
    lower, upper = node.get("minimum"), node.get("maximum")
    if lower is not None and upper is not None:
        return f"{text} from {lower} to {upper}"
    bounds = [
        (lower, "of at least"),
        (node.get("exclusiveMinimum"), "above"),
        (upper, "of at most"),
        (node.get("exclusiveMaximum"), "below"),
    ]
    if "minLength" in node:
        return f"{text}, not empty"
    limits = " and ".join(f"{word} {bound}" for bound, word in bounds if bound is not None)
    return f"{text} {limits}".rstrip()


def compose(overrides: Sequence[str]) -> TrainConfig:
    """The checked config of ``python -m pixelcnn_lit.train OVERRIDES``, for use from Python.

    Raises UserError for an unknown key or a value that is not allowed.
    """
    if isinstance(overrides, str):
        raise UserError(f"overrides must be a list such as ['model.n_res=2'], not the text {overrides!r}")
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    # Inside a Hydra application, ours or somebody's, its own state steps aside.
    outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            composed = hydra.compose("train", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(one_line(error)) from error
    finally:
        GlobalHydra.instance().hydra = outer
    return check(composed, TrainConfig)


def one_line(error: BaseException) -> str:
    """A Hydra or OmegaConf error, whose texts have several lines, in one."""
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as an override; expected key=value (quote special characters)"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0].removeprefix("ValueError raised while resolving interpolation: ") if lines else type(error).__name__
    if text.startswith("Ambiguous value for argument"):
        return f"{text.split(chr(39))[1]}: one value is expected; a list is key=[a,b], a sweep needs -m"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        parent = cause.parent_node
        keys = ", ".join(str(key) for key in parent if key != "hydra") if isinstance(parent, DictConfig) else ""
        return f"{cause.full_key}: no such key" + (f"; allowed here: {keys}" if keys else "")
    options = [line for line in str(error).splitlines() if line.startswith("\t") and "provider=" not in line]
    if options:
        text += "; available: " + ", ".join(option.strip() for option in options)
    return text
