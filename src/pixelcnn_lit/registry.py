"""Registration of networks, data sets and likelihoods from outside this package.

A module that calls these functions is a plugin. Users name it with ``plugins=[my.module]``, or an installed package
offers it under the entry point group ``pixelcnn_lit.plugins``. docs/extending.md shows an example of each kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pixelcnn_lit.config.data import DATA_SETS, DataConfig
from pixelcnn_lit.config.likelihood import LIKELIHOODS, LikelihoodConfig
from pixelcnn_lit.config.model import NETWORKS, NetworkConfig

if TYPE_CHECKING:
    from pixelcnn_lit.data.splits import Splits


def register_network(name: str, network: Callable[..., Any] | str, section: type[NetworkConfig]) -> None:
    """Let ``model=NAME`` build a network.

    ``network`` is a subclass of :class:`~pixelcnn_lit.nn.contract.CausalNetwork`, or the text "module:Class". It is
    called with keyword arguments only: ``image_channels``, ``n_params`` and ``groups``, with the same meaning as in
    :class:`~pixelcnn_lit.models.PixelCNN`, and each key of ``section``. ``section`` declares the keys, their types and
    ranges.

    Raises TypeError if ``section`` is not a ``NetworkConfig``, ValueError if the name is taken.
    """
    NETWORKS.add(name, network, section)


def register_data(name: str, load: Callable[[Any], Splits] | str, section: type[DataConfig]) -> None:
    """Let ``data=NAME`` read a data set. ``load(section) -> Splits`` is a function, or the text "module:function".

    Raises TypeError if ``section`` is not a ``DataConfig``, ValueError if the name is taken.
    """
    DATA_SETS.add(name, load, section)


def register_likelihood(name: str, likelihood: Callable[..., Any] | str, section: type[LikelihoodConfig]) -> None:
    """Let ``likelihood=NAME`` build a likelihood.

    ``likelihood`` is a subclass of :class:`~pixelcnn_lit.likelihood.Likelihood`, or the text "module:Class". It is
    called with keyword arguments only: ``levels`` and each key of ``section``.

    Raises TypeError if ``section`` is not a ``LikelihoodConfig``, ValueError if the name is taken.
    """
    LIKELIHOODS.add(name, likelihood, section)
