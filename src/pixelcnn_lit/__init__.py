"""PixelCNN-style exact-likelihood image models: ``build`` an untrained one, ``load`` a trained one.

Both give a :class:`~pixelcnn_lit.density.Density` with ``log_prob``, ``bits_per_dim``, ``logits``, ``sample`` and
``complete``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixelcnn_lit.density import Density

__version__ = "0.1.0"
__all__ = ["__version__", "build", "load"]

# torch is imported by the functions, so that `python -m pixelcnn_lit.train --help` answers at once.


def build(overrides: Sequence[str] = ()) -> Density:
    """An untrained density in evaluation mode, from the config and overrides of ``python -m pixelcnn_lit.train``.

    Raises :class:`~pixelcnn_lit.errors.UserError` for an unknown key or a value that is not allowed.

    >>> build(["model.n_res=2", "data.levels=4"]).levels
    4
    """
    from pixelcnn_lit.config import compose
    from pixelcnn_lit.registry import build_density

    return build_density(compose(overrides)).eval()


def load(path: str | Path) -> Density:
    """A trained density, on the CPU and in evaluation mode, from a checkpoint that ``train`` wrote.

    Raises :class:`~pixelcnn_lit.errors.UserError` if the file is missing, damaged, or no checkpoint of this package.
    """
    from pixelcnn_lit.checkpoint import load

    return load(path)
