"""conf/logger: the loggers. Each key is a logger; several can be used at once."""

from __future__ import annotations

from pydantic import Field

from pixelcnn_lit.config.types import Name, Place, Section


class TensorBoardConfig(Section):
    """conf/logger/tensorboard.yaml: curves, pictures and HParams under <run>/tensorboard."""


class CsvConfig(Section):
    """conf/logger/csv.yaml: curves as <run>/csv/metrics.csv."""


class MlflowConfig(Section):
    """conf/logger/mlflow.yaml: curves and hyperparameters in an MLflow store."""

    tracking_uri: Place
    experiment: Name


class WandbConfig(Section):
    """conf/logger/wandb.yaml: curves and hyperparameters at Weights & Biases, or offline under <run>/wandb."""

    project: Name
    offline: bool


class LoggerConfig(Section):
    """The loggers of a run: those that are not None."""

    tensorboard: TensorBoardConfig | None = Field(default=None)
    csv: CsvConfig | None = Field(default=None)
    mlflow: MlflowConfig | None = Field(default=None)
    wandb: WandbConfig | None = Field(default=None)
