"""From a checked config to a density: the package's own list of networks and likelihoods."""

from __future__ import annotations

from pixelcnn_lit.config import ModelConfig
from pixelcnn_lit.density import Density
from pixelcnn_lit.likelihood import Categorical
from pixelcnn_lit.models import PixelCNN


def build_density(config: ModelConfig) -> Density:
    """An untrained density, its weights drawn from torch's global generator."""
    likelihood = Categorical(config.levels)
    network = PixelCNN(
        image_channels=config.image_shape[0],
        n_params=likelihood.n_params,
        n_res=config.n_res,
        hidden=config.hidden,
        kernel_size=config.kernel_size,
        first_kernel_size=config.first_kernel_size,
    )
    return Density(network, likelihood, config.image_shape)
