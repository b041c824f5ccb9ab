"""PixelCNN-style exact-likelihood image models: ``build`` an untrained one, ``load`` a trained one.

Both give a :class:`~pixelcnn_lit.density.Density` with ``log_prob``, ``bits_per_dim``, ``logits``, ``sample`` and
``complete``. :class:`~pixelcnn_lit.training.run.Run` trains one.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelcnn_lit.config import compose
    from pixelcnn_lit.density import Density
    from pixelcnn_lit.errors import UserError
    from pixelcnn_lit.likelihood import Categorical, Likelihood, LogisticMixture
    from pixelcnn_lit.metrics import BitsPerDim
    from pixelcnn_lit.nn import CausalConv2d, CausalLayer, CausalNetwork, Cursor, LayerCache
    from pixelcnn_lit.registry import register_data, register_likelihood, register_network
    from pixelcnn_lit.training.run import Run

# These names are imported on first use: torch takes seconds to import, and `--help` does not need it.
_HOMES = {
    "BitsPerDim": "metrics",
    "Categorical": "likelihood",
    "CausalConv2d": "nn",
    "CausalLayer": "nn",
    "CausalNetwork": "nn",
    "Cursor": "nn",
    "Density": "density",
    "LayerCache": "nn",
    "Likelihood": "likelihood",
    "LogisticMixture": "likelihood",
    "Run": "training.run",
    "UserError": "errors",
    "compose": "config",
    "register_data": "registry",
    "register_likelihood": "registry",
    "register_network": "registry",
}

__version__ = "0.2.0"
__all__ = [  # noqa: RUF022
    "__version__",
    "build",
    "load",
    "compose",
    "Run",
    "Density",
    "Likelihood",
    "Categorical",
    "LogisticMixture",
    "BitsPerDim",
    "UserError",
    "CausalNetwork",
    "CausalLayer",
    "LayerCache",
    "Cursor",
    "CausalConv2d",
    "register_network",
    "register_data",
    "register_likelihood",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"pixelcnn_lit.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def build(overrides: Sequence[str] = ()) -> Density:
    """Build an untrained density, in evaluation mode, from the overrides of ``python -m pixelcnn_lit.train``.

    Raises :class:`~pixelcnn_lit.errors.UserError` for an unknown key or a value that is not allowed.

    >>> from pixelcnn_lit import build
    >>> build(["model.n_res=2", "data.levels=4"]).levels
    4
    """
    from pixelcnn_lit.config import compose
    from pixelcnn_lit.factory import build_density

    return build_density(compose(overrides)).eval()


def load(path: str | Path) -> Any:
    """Load a trained model, on the CPU and in evaluation mode: from a checkpoint, an exported file or a run's folder.

    It is a :class:`~pixelcnn_lit.density.Density`, or of a folder of ``vqvae`` a
    :class:`~pixelcnn_lit.vqvae_model.VQVAE`, of its autoencoder alone an
    :class:`~pixelcnn_lit.autoencoder.autoencoder.Autoencoder`.

    Raises :class:`~pixelcnn_lit.errors.UserError` if the file is missing, damaged, or not a checkpoint of this package.
    The same error is raised if the file needs a network, data set or likelihood of a plugin that is not imported.
    """
    from pixelcnn_lit.storage.stages import load

    return load(path)
