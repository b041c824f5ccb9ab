"""A folder of the command ``vqvae``: the run of an autoencoder, and one for the prior of each level of its codes."""

from __future__ import annotations

from pathlib import Path

from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config.codes import CODE_LEVELS, STAGE, CodesData, digest
from pixelcnn_lit.config.places import best_of
from pixelcnn_lit.config.types import at_home, located
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.vqvae_model import VQVAE


def load(path: str | Path) -> Density | Autoencoder | VQVAE:
    """A trained model: of a checkpoint, an exported file, a run's folder, or a folder of ``vqvae`` with its priors.

    Or of ``pretrained:NAME``, a model that comes with the package.

    Raises UserError as :func:`checkpoint.load_model` does, for priors of another autoencoder, and for an unknown NAME.
    """
    try:
        path = located(str(path))
    except ValueError as error:
        raise UserError(f"ckpt={path}: {error}") from error
    return load_vqvae(path) if has_priors(path) else checkpoint.load(path)


def has_priors(path: str | Path) -> bool:
    """Whether this is a folder of ``vqvae`` in which a prior was trained."""
    folder = Path(at_home(str(path)))
    return best_of(folder / STAGE).is_file() and any(best_of(folder / level).is_file() for level in CODE_LEVELS[3])


def load_vqvae(path: str | Path) -> VQVAE:
    """The autoencoder and the priors of a folder of ``vqvae``, in evaluation mode.

    Raises UserError if a level of codes has no prior yet, or one that was trained on another autoencoder's codes.
    """
    folder = Path(at_home(str(path)))
    autoencoder, _ = checkpoint.load_autoencoder(best_of(folder / STAGE))
    found = digest(best_of(folder / STAGE))
    priors = {}
    for level in autoencoder.names:
        best = best_of(folder / level)
        if not best.is_file():
            raise UserError(f"ckpt={path}: the codes of level {level} have no prior yet; the command vqvae goes on")
        priors[level], trained = checkpoint.load_with_config(best)
        if isinstance(trained.data, CodesData) and trained.data.digest not in (None, found):
            raise UserError(f"ckpt={path}: the prior {level} was trained on the codes of another autoencoder")
    try:
        return VQVAE(autoencoder, priors)
    except ValueError as error:
        raise UserError(f"ckpt={path}: {error}") from error
