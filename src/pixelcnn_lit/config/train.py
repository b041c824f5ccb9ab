"""conf/train.yaml: the whole configuration of a training run, and what it shares with other kinds of runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, Field, create_model, model_validator

from pixelcnn_lit.config.callbacks import CallbacksConfig
from pixelcnn_lit.config.context import CONTEXTS, ContextConfig
from pixelcnn_lit.config.data import DATA_SETS, DataConfig
from pixelcnn_lit.config.likelihood import LIKELIHOODS, LikelihoodConfig
from pixelcnn_lit.config.logger import LoggerConfig
from pixelcnn_lit.config.model import NETWORKS, NetworkConfig
from pixelcnn_lit.config.optimizer import OptimizerConfig
from pixelcnn_lit.config.parts import Parts
from pixelcnn_lit.config.trainer import TrainerConfig
from pixelcnn_lit.config.types import Model, Plugins, Section, Seed, inside


class CheckpointConfig(Section):
    """How often last.ckpt is written during an epoch; null: only at its end and when a signal ends the run."""

    every_minutes: Annotated[float, Field(gt=0)] | None


class RunConfig(Section):
    """The keys that all trainings share, whatever is trained."""

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(inside)] | None
    overwrite: bool
    seed: Seed
    ckpt: Model | None
    weights: Model | None
    plugins: Plugins
    checkpoint: CheckpointConfig
    on_nan: Literal["stop", "skip"]
    data: DataConfig
    optimizer: OptimizerConfig
    trainer: TrainerConfig
    callbacks: CallbacksConfig
    logger: LoggerConfig

    groups: ClassVar[tuple[Parts[Any], ...]] = (DATA_SETS,)
    """The groups of conf/ whose parts others can register."""

    @property
    def what(self) -> str:
        """What is trained, in a word: the name of a folder for runs without a name."""
        raise NotImplementedError

    @classmethod
    def complete(cls) -> type[Self]:
        """This section with the sections of all parts that are registered now."""
        registered = (cls, *(group[name].section for group in cls.groups for name in group.names()))
        if registered not in _COMPLETE:
            fields: dict[str, Any] = {group.kind: (group.union(), ...) for group in cls.groups}
            _COMPLETE[registered] = create_model(cls.__name__, __base__=cls, __module__=cls.__module__, **fields)
        return cast("type[Self]", _COMPLETE[registered])

    def __reduce__(self) -> Any:
        # pickle cannot find the complete class by its name, since it is made at run time.
        made = type(self) in _COMPLETE.values()
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return _restored, (type(self).__base__ if made else type(self), values)

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.ckpt is not None and self.weights is not None:
            raise ValueError(
                f"weights={self.weights}: a new run from weights; ckpt={self.ckpt} goes on with a run. Give one"
            )
        return self


class TrainConfig(RunConfig):
    """The keys of ``train``."""

    model: NetworkConfig
    likelihood: LikelihoodConfig
    context: ContextConfig

    groups = (DATA_SETS, NETWORKS, LIKELIHOODS, CONTEXTS)

    @property
    def what(self) -> str:
        return self.model.name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model.n_classes is not None and self.model.n_classes != self.data.n_classes:
            raise ValueError(
                f"model.n_classes={self.model.n_classes}: {self.data.name} has {self.data.n_classes} classes; "
                "set model.n_classes='${data.n_classes}', or null for a model without classes"
            )
        self.model.check_beside(self.data, self.likelihood)
        self.context.check_beside(self.data)
        return self


_COMPLETE: dict[tuple[type[Section], ...], type[RunConfig]] = {}
"""A cache of the complete sections, keyed by the registered sections, so that equal configs have the same class."""


def _restored(section: type[RunConfig], values: dict[str, Any]) -> RunConfig:
    return section.complete()(**values)
