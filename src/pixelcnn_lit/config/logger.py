"""conf/logger: where the curves go. Each key is a logger; several may be there at once."""

from __future__ import annotations

from pydantic import Field

from pixelcnn_lit.config.types import Place, Section


class TensorBoardConfig(Section):
    """conf/logger/tensorboard.yaml: curves, pictures and HParams under <run>/tensorboard."""


class CsvConfig(Section):
    """conf/logger/csv.yaml: curves as <run>/csv/metrics.csv."""


class MlflowConfig(Section):
    """conf/logger/mlflow.yaml: curves and choices in a store of MLflow."""

    tracking_uri: Place
    experiment: Place


class WandbConfig(Section):
    """conf/logger/wandb.yaml: curves and choices at Weights & Biases, or offline under <run>/wandb."""

    project: Place
    offline: bool


class LoggerConfig(Section):
    """The loggers that a run has: those whose key is there."""

    tensorboard: TensorBoardConfig | None = Field(default=None)
    csv: CsvConfig | None = Field(default=None)
    mlflow: MlflowConfig | None = Field(default=None)
    wandb: WandbConfig | None = Field(default=None)
