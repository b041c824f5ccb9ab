"""The doors: a network, a data set or a likelihood from outside gets a name, and with it all that ours have.

A module that calls these functions is a plugin. Users name it, ``plugins=[my.module]``, or the package that holds it
offers it under the entry point group ``pixelcnn_lit.plugins``. docs/extending.md shows one of each.
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

    ``network`` is a subclass of :class:`~pixelcnn_lit.nn.contract.CausalNetwork`, or "module:Class". It is called with
    keywords alone: ``image_channels``, ``n_params`` and ``groups`` as :class:`~pixelcnn_lit.models.PixelCNN` has them,
    and each key of ``section``, which says their types and ranges.

    Raises TypeError for a section that is no ``NetworkConfig``, ValueError for a name that is taken.
    """
    NETWORKS.add(name, network, section)


def register_data(name: str, load: Callable[[Any], Splits] | str, section: type[DataConfig]) -> None:
    """Let ``data=NAME`` read a data set: ``load(section) -> Splits``, a function or "module:function".

    Raises TypeError for a section that is no ``DataConfig``, ValueError for a name that is taken.
    """
    DATA_SETS.add(name, load, section)


def register_likelihood(name: str, likelihood: Callable[..., Any] | str, section: type[LikelihoodConfig]) -> None:
    """Let ``likelihood=NAME`` build a likelihood: a subclass of :class:`~pixelcnn_lit.likelihood.Likelihood`.

    It is called with keywords alone: ``levels`` and each key of ``section``. "module:Class" will do too.

    Raises TypeError for a section that is no ``LikelihoodConfig``, ValueError for a name that is taken.
    """
    LIKELIHOODS.add(name, likelihood, section)
