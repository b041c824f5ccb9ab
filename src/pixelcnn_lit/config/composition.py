"""Composes a config from conf/ and overrides with Hydra, whose errors become one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

import pixelcnn_lit
from pixelcnn_lit.config.checking import check
from pixelcnn_lit.config.plugins import load_plugins
from pixelcnn_lit.config.train import RunConfig, TrainConfig
from pixelcnn_lit.config.types import at_home
from pixelcnn_lit.config.vqvae import VqvaeConfig
from pixelcnn_lit.errors import UserError

R = TypeVar("R", bound=RunConfig)

HOME = re.compile(r"""(?<![^=,\[])(["']?)(~[\w.-]*)(?=[/,\]"']|$)""")
"""A ~ or ~user where a value begins; in quotes or not."""


def conf_dir() -> Path:
    """The folder of the Hydra configs: inside an installed package, otherwise at the top of the checkout."""
    package = Path(pixelcnn_lit.__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def further_folders(sources: Iterable[Any]) -> list[str]:
    """The folders that ``--config-dir`` named, of all that Hydra finds configs in."""
    return [source.path.removeprefix("file://") for source in sources if source.provider == "command-line"]


def as_options(folders: Sequence[str]) -> list[str]:
    """The options of a command that name folders of further configs."""
    return [word for folder in folders for word in ("--config-dir", folder)]


def compose(overrides: Sequence[str]) -> TrainConfig:
    """Compose and check the config of ``python -m pixelcnn_lit.train OVERRIDES``, for use from Python.

    Raises UserError for an unknown key or a value that is not allowed.

    >>> from pixelcnn_lit import compose
    >>> config = compose(["data=digits", "model.n_res=2"])
    >>> config.model.n_res, config.data.image_shape
    (2, (1, 28, 28))
    """
    return _composed("train", overrides, TrainConfig)


def compose_vqvae(overrides: Sequence[str]) -> VqvaeConfig:
    """Compose and check the config of ``python -m pixelcnn_lit.vqvae OVERRIDES``, for use from Python.

    Raises UserError for an unknown key or a value that is not allowed.

    >>> from pixelcnn_lit.config import compose_vqvae
    >>> compose_vqvae(["data=digits", "autoencoder.n_codes=64"]).autoencoder.n_codes
    64
    """
    return _composed("vqvae", overrides, VqvaeConfig)


def _composed(command: str, overrides: Sequence[str], section: type[R]) -> R:
    if isinstance(overrides, str):
        raise UserError(f"overrides must be a list such as ['seed=2'], not the text {overrides!r}")
    # compose may be called inside a Hydra application; the state of that application is set aside, then restored.
    outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            composed = hydra.compose(command, overrides=[with_home(override) for override in overrides])
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(one_line(error)) from error
    finally:
        GlobalHydra.instance().hydra = outer
    load_plugins(plugins_of(composed))
    return check(composed, section)


def with_home(override: str) -> str:
    """An override with a ``~`` at the beginning of its values replaced by the home folder.

    Shells leave it in ``data.path=~/images``, and Hydra's grammar has it only in quotes. In quotes it stays for the
    section, which knows whether its key is a path; Hydra's own keys have no section. Raises UserError for ``~user`` if
    there is no such user.

    >>> from pixelcnn_lit.config import with_home
    >>> with_home("data.path=~/images") == f"data.path={Path.home()}/images"
    True
    """
    key, sign, value = override.partition("=")

    def home(found: re.Match[str]) -> str:
        quote, begin = found.groups()
        if quote and not key.startswith("hydra."):
            return found.group()
        folder = at_home(begin)
        if folder == begin:
            raise UserError(f"{override}: no user {begin[1:]}, whose home {begin} would be; write the path without ~")
        return quote + (folder if quote else re.sub(r"([\\()\[\]{}:=, ])", r"\\\1", folder))

    return key + sign + HOME.sub(home, value)


def plugins_of(composed: DictConfig) -> list[str]:
    """The modules under the key ``plugins`` of a composed config. Raise UserError if it is not a list of names."""
    plugins = composed.get("plugins")
    modules = [plugins] if isinstance(plugins, str) else [] if plugins is None else plugins
    if not isinstance(modules, list | ListConfig) or not all(isinstance(name, str) and name for name in modules):
        raise UserError(f"plugins={plugins}: must be a list of modules, such as plugins=[my.module]")
    return list(modules)


def one_line(error: BaseException) -> str:
    """The text of a Hydra or OmegaConf error, which may have several lines, in one line."""
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as an override; expected key=value (quote special characters)"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0].removeprefix("ValueError raised while resolving interpolation: ") if lines else type(error).__name__
    if text.startswith("Ambiguous value for argument"):
        return f"{text.split(chr(39))[1]}: one value is expected; a list is key=[a,b], a sweep needs -m"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        parent = cause.parent_node
        keys = ", ".join(str(key) for key in parent if key != "hydra") if isinstance(parent, DictConfig) else ""
        return f"{cause.full_key}: no such key" + (f"; allowed here: {keys}" if keys else "")
    options = [line for line in str(error).splitlines() if line.startswith("\t") and "provider=" not in line]
    if options:
        text += "; available: " + ", ".join(option.strip() for option in options)
    return text
