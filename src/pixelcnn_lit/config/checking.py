"""Checks a config, composed or read from a file, and makes a section of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import ValidationError

from pixelcnn_lit.config.explain import explain
from pixelcnn_lit.config.types import Section
from pixelcnn_lit.errors import UserError

S = TypeVar("S", bound=Section)


def check(config: DictConfig | Mapping[str, Any], section: type[S], where: str = "") -> S:
    """Check a config and return it as a ``section``. Raise UserError that names the first wrong key, after ``where``.

    The config of a checkpoint goes through the same check, so a file cannot ask for more than a user can.
    """
    plain = resolved(config, where) if isinstance(config, DictConfig) else config
    complete = section.complete()
    try:
        return complete.model_validate(plain)
    except ValidationError as error:
        raise UserError(where + explain(error, complete)) from error


def resolved(config: DictConfig, where: str = "") -> Mapping[str, Any]:
    """A composed config as a plain dictionary, with interpolations resolved. Raise UserError that names a wrong key."""
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{where}{error.full_key}: missing; give {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        key = f"{error.full_key}: " if error.full_key and error.full_key not in reason else ""
        raise UserError(f"{where}{key}{reason}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
