"""Migration of configs from older versions to the current keys, with one function per format.

If you change a key, raise FORMAT by one and add a function here that converts a config of the format before. The
function must also accept a config that is converted already: a run's folder does not contain its format, so all
functions are applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

FORMAT = 6
"""1: before 0.1. 2: with a checksum. 3: ``model`` does not repeat data's keys, ``logger`` holds several.
4: ``weights``, ``trainer.float32_tail``. 5: ``context``. 6: ``model.orders``."""

Config = dict[str, Any]

DEFAULTS_OF_2: Mapping[str, Any] = {
    "overwrite": False,
    "checkpoint.every_minutes": None,
    "on_nan": "stop",
    "trainer.checkpoint_activations": False,
    "trainer.compile": None,
    "data.n_classes": 10,
    "data.binarize": None,
    "model.n_classes": None,
    "likelihood.name": "categorical",
}
"""Keys that configs of format 1 or 2 may lack, dotted, and the values that they then have."""


def migrated(config: Mapping[str, Any], number: int) -> Config:
    """Convert a config of format ``number`` to the current format."""
    config = {key: dict(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    if "autoencoder" in config:  # its keys are those of format 5 still; the functions are for those of a density
        return config
    for step in MIGRATIONS[number - 1 :]:
        step(config)
    return config


def _from_1(config: Config) -> None:
    """Do nothing: only the format of the file changed."""


def _from_2(config: Config) -> None:
    for key, value in DEFAULTS_OF_2.items():
        _set_default(config, key, value)
    model, logger = config.get("model"), config.get("logger")
    if isinstance(model, dict):
        model.pop("levels", None)
        model.pop("image_shape", None)
    if isinstance(logger, dict) and "name" in logger:
        name = logger.pop("name")
        config["logger"] = {} if name == "none" else {name: {}}
    config.setdefault("plugins", [])


def _from_3(config: Config) -> None:
    _set_default(config, "weights", None)
    _set_default(config, "trainer.float32_tail", 0.0)


def _from_4(config: Config) -> None:
    config.setdefault("context", {"name": "none"})


def _from_5(config: Config) -> None:
    _set_default(config, "model.orders", 1)


MIGRATIONS: tuple[Callable[[Config], None], ...] = (_from_1, _from_2, _from_3, _from_4, _from_5)


def _set_default(config: Config, key: str, value: Any) -> None:
    *groups, name = key.split(".")
    for group in groups:
        config = config.setdefault(group, {})
        if not isinstance(config, dict):
            return  # the check of the whole config names it
    config.setdefault(name, value)
