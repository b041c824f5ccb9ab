"""conf/likelihood: the distribution that the network's output parametrises."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pixelcnn_lit.config.parts import Parts
from pixelcnn_lit.config.types import Section


class LikelihoodConfig(Section):
    """The keys that all likelihoods share."""

    name: str


class CategoricalConfig(LikelihoodConfig):
    """conf/likelihood/categorical.yaml."""


class LogisticMixtureConfig(LikelihoodConfig):
    """conf/likelihood/logistic_mixture.yaml."""

    n_mix: Annotated[int, Field(ge=1, le=100)]


LIKELIHOODS = Parts("likelihood", LikelihoodConfig)
LIKELIHOODS.add("categorical", "pixelcnn_lit.likelihood:Categorical", CategoricalConfig)
LIKELIHOODS.add("logistic_mixture", "pixelcnn_lit.likelihood:LogisticMixture", LogisticMixtureConfig)
