"""From a checked config to a density: the package's own list of networks and likelihoods."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from pixelcnn_lit.config import (
    CategoricalConfig,
    LikelihoodConfig,
    ModelConfig,
    TrainConfig,
)
from pixelcnn_lit.density import Density
from pixelcnn_lit.likelihood import Categorical, Likelihood, LogisticMixture
from pixelcnn_lit.models import GatedPixelCNN, PixelCNN, PixelCNNpp


def build_density(config: TrainConfig) -> Density:
    """An untrained density, its weights drawn from torch's global generator."""
    model = config.model
    likelihood = _likelihood(config.likelihood, model.levels)
    return Density(_network(model, likelihood), likelihood, model.image_shape, model.n_classes)


def _likelihood(config: LikelihoodConfig, levels: int) -> Likelihood:
    return Categorical(levels) if isinstance(config, CategoricalConfig) else LogisticMixture(levels, config.n_mix)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "pixelcnn": PixelCNN,
    "gated_pixelcnn": GatedPixelCNN,
    "pixelcnn_pp": PixelCNNpp,
}


def _network(model: ModelConfig, likelihood: Likelihood) -> nn.Module:
    channels = model.image_shape[0]
    groups = 1 if likelihood.couples_channels else channels
    sizes = model.model_dump(exclude={"name", "levels", "image_shape"})
    return NETWORKS[model.name](channels, likelihood.n_params(channels), groups, **sizes)
