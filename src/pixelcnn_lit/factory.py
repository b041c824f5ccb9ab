"""Builds a density or an autoencoder from a checked config.

The network of a density gets as many output parameters as the likelihood needs.
"""

from __future__ import annotations

from torch import nn

from pixelcnn_lit.any_order import AnyOrder
from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config.context import ContextConfig, EncodedContext
from pixelcnn_lit.config.data import DataConfig
from pixelcnn_lit.config.likelihood import LIKELIHOODS, LikelihoodConfig
from pixelcnn_lit.config.model import NETWORKS, NetworkConfig, OrderedNetworkConfig
from pixelcnn_lit.config.train import TrainConfig
from pixelcnn_lit.config.vqvae import AutoencoderRunConfig
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError, blamed
from pixelcnn_lit.likelihood import Likelihood
from pixelcnn_lit.nn.context import ContextEncoder, ContextShape
from pixelcnn_lit.nn.contract import OrderedNetwork
from pixelcnn_lit.nn.inputs import Embedded, Scaled
from pixelcnn_lit.orders import ManyOrders


def build_density(config: TrainConfig) -> Density:
    """Build an untrained density; its weights are drawn from torch's global generator.

    Raises UserError if the network does not accept the likelihood, the channels or its own sizes.
    """
    likelihood = build_likelihood(config.likelihood, config.data.levels)
    encoder = build_encoder(config.context, config.data)
    inputs, channels = build_inputs(config.data), config.data.image_shape[0]
    with blamed(f"model={config.model.name}: cannot be built"):
        network = build_network(config.model, likelihood, channels, encoder, inputs.features * channels)
    _refuse_no_network(network, config.model)
    shape, given = config.data.image_shape, (config.model.n_classes, None if encoder is None else encoder.shape, inputs)
    if isinstance(config.model, OrderedNetworkConfig):
        assert isinstance(network, OrderedNetwork)
        return AnyOrder(network, likelihood, shape, config.model.orders, config.model.holes, *given)
    if config.model.orders > 1:
        return ManyOrders(network, likelihood, shape, config.model.orders, *given)
    return Density(network, likelihood, shape, *given)


def _refuse_no_network(network: nn.Module, config: NetworkConfig) -> None:
    """Raise UserError unless what a class from outside gave is a network of the kind that its config says."""
    wanted = OrderedNetwork if isinstance(config, OrderedNetworkConfig) else nn.Module
    if not isinstance(network, wanted):
        raise UserError(f"model={config.name}: {type(network).__name__} is no {wanted.__name__}")
    if next(network.parameters(), None) is None:
        raise UserError(f"model={config.name}: {type(network).__name__} has no weights to train")


def build_inputs(config: DataConfig) -> Scaled | Embedded:
    """Build what a network sees of a level: a number in order, or a learned vector."""
    features = config.input_features
    return Scaled(levels=config.levels) if features is None else Embedded(levels=config.levels, features=features)


def build_encoder(config: ContextConfig, data: DataConfig) -> ContextEncoder | None:
    """Build the encoder of the context of a config, or None for ``context=none``."""
    if not isinstance(config, EncodedContext):
        return None
    return ContextEncoder(shape=ContextShape(*config.shape(data)), features=config.features, n_res=config.n_res)


def build_likelihood(config: LikelihoodConfig, levels: int) -> Likelihood:
    """Build the likelihood of a config for ``levels`` levels. Raises UserError if it lacks what a likelihood has."""
    where = f"likelihood={config.name}: cannot be built"
    with blamed(where):
        likelihood: Likelihood = LIKELIHOODS[config.name].load()(levels=levels, **config.model_dump(exclude={"name"}))
    if not isinstance(getattr(likelihood, "couples_channels", None), bool):
        raise UserError(f"{where}: {type(likelihood).__name__} must have couples_channels, which is True or False")
    return likelihood


def build_network(
    config: NetworkConfig,
    likelihood: Likelihood,
    channels: int,
    encoder: ContextEncoder | None = None,
    inputs: int | None = None,
) -> nn.Module:
    """Build the network of a config, with the outputs that ``likelihood`` needs for images of ``channels``.

    It sees them as ``inputs`` numbers a pixel; None: as many as channels. With several orders, its classes are pairs of
    a class and a scan.

    Only with an encoder is it built with a ``context_encoder``: a network from outside need not know that argument.

    Raises ValueError if the network does not accept the likelihood, the channels or its own sizes.
    """
    context = {} if encoder is None else {"context_encoder": encoder}
    sizes = config.model_dump(exclude=set(config.of_density))
    if config.orders > 1 and not isinstance(config, OrderedNetworkConfig):
        sizes["n_classes"] = config.orders * (config.n_classes or 1)
    network: nn.Module = NETWORKS[config.name].load()(
        image_channels=channels if inputs is None else inputs,
        n_params=likelihood.n_params(channels),
        groups=1 if likelihood.couples_channels else channels,
        **context,
        **sizes,
    )
    return network


def build_autoencoder(config: AutoencoderRunConfig) -> Autoencoder:
    """Build an autoencoder without codes; its weights are drawn from torch's global generator.

    Raises UserError if the package vector-quantize-pytorch is not installed.

    >>> from pixelcnn_lit.config import compose_vqvae
    >>> from pixelcnn_lit.factory import build_autoencoder
    >>> build_autoencoder(compose_vqvae(["data=digits"])).code_shapes()
    ((7, 7), (14, 14))
    """
    sizes = config.autoencoder.model_dump(exclude={"commitment"})
    return Autoencoder(image_shape=config.data.image_shape, levels=config.data.levels, **sizes)
