"""conf/trainer: the device, length and precision of training."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pixelcnn_lit.config.types import Count, Home, Limit, PositiveLimit, Section


def _duration(text: str) -> str:
    if not re.fullmatch(r"\d+:\d{1,2}:\d{1,2}:\d{1,2}", text):
        raise ValueError("must be DD:HH:MM:SS, days to seconds")
    return text


def _some_devices(devices: int) -> int:
    if devices == 0:
        raise ValueError("must be a number of at least 1, -1 for all, a list of their indices, or auto")
    return devices


def _whole(value: float) -> float:
    if value != int(value):
        raise ValueError("must be a whole number of batches")
    return value


class TrainerConfig(Section):
    """The arguments of Lightning's Trainer, under the same names. Lightning checks values that are not checked here.

    This package implements ``compile``, ``checkpoint_activations``, ``overfit_batches``, ``float32_tail`` and precision
    "auto".
    """

    accelerator: str
    strategy: str
    devices: Annotated[int, AfterValidator(_some_devices)] | str | list[int]
    num_nodes: Count
    precision: int | str | None
    float32_tail: Annotated[float, Field(ge=0, le=1)]
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
    limit_train_batches: PositiveLimit | None
    limit_val_batches: Limit | None
    limit_test_batches: Limit | None
    limit_predict_batches: Limit | None
    overfit_batches: Annotated[float, Field(ge=0), AfterValidator(_whole)]
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
    default_root_dir: Annotated[str, Home] | None
    enable_autolog_hparams: bool
    model_registry: str | None
