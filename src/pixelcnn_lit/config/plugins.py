"""Imports plugins: modules from outside that register networks, data sets and likelihoods on import."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pixelcnn_lit.errors import UserError

GROUP = "pixelcnn_lit.plugins"
"""The entry point group in which an installed package offers its plugins."""


def load_plugins(modules: Sequence[str] = ()) -> None:
    """Import the plugins of installed packages, then ``modules``, such as those of ``plugins=[my.module]``.

    The current folder is searched too. Raises UserError that names the module that cannot be imported.
    """
    _load_installed()
    here = str(Path.cwd())
    if modules and here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # importing a module may raise anything
            raise UserError(f"plugins={name}: cannot be imported ({type(error).__name__}: {error})") from error


@functools.cache
def _load_installed() -> None:
    for entry in entry_points(group=GROUP):
        _load(entry)


def _load(entry: EntryPoint) -> None:
    try:
        entry.load()
    except Exception as error:
        owner = entry.dist.name if entry.dist else "an installed package"
        raise UserError(
            f"the plugin {entry.value} of {owner} cannot be imported ({type(error).__name__}: {error})"
        ) from error
