"""From a checked config to a density: the package's own list of networks and likelihoods."""

from __future__ import annotations

from torch import nn

from pixelcnn_lit.config import (
    CategoricalConfig,
    LikelihoodConfig,
    ModelConfig,
    PixelCNNConfig,
    TrainConfig,
)
from pixelcnn_lit.density import Density
from pixelcnn_lit.likelihood import Categorical, Likelihood, LogisticMixture
from pixelcnn_lit.models import GatedPixelCNN, PixelCNN


def build_density(config: TrainConfig) -> Density:
    """An untrained density, its weights drawn from torch's global generator."""
    model = config.model
    likelihood = _likelihood(config.likelihood, model.levels)
    return Density(_network(model, likelihood), likelihood, model.image_shape, model.n_classes)


def _likelihood(config: LikelihoodConfig, levels: int) -> Likelihood:
    return Categorical(levels) if isinstance(config, CategoricalConfig) else LogisticMixture(levels, config.n_mix)


def _network(model: ModelConfig, likelihood: Likelihood) -> nn.Module:
    channels = model.image_shape[0]
    n_params = likelihood.n_params(channels)
    groups = 1 if likelihood.couples_channels else channels
    if isinstance(model, PixelCNNConfig):
        return PixelCNN(
            channels,
            n_params,
            groups,
            n_res=model.n_res,
            hidden=model.hidden,
            kernel_size=model.kernel_size,
            first_kernel_size=model.first_kernel_size,
            n_classes=model.n_classes,
        )
    return GatedPixelCNN(
        channels,
        n_params,
        groups,
        n_res=model.n_res,
        hidden=model.hidden,
        kernel_size=model.kernel_size,
        first_kernel_size=model.first_kernel_size,
        dilations=model.dilations,
        n_classes=model.n_classes,
    )
