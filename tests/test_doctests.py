"""The examples in the docstrings run, and there are some where a newcomer starts."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import pixelcnn_lit

MODULES = ["pixelcnn_lit", *(module.name for module in pkgutil.walk_packages(pixelcnn_lit.__path__, "pixelcnn_lit."))]
EXTRAS = {"pixelcnn_lit.sweeps.ray_cluster": "ray"}
"""Modules that need a package which is not always installed."""
LEAST = 12


def loaded(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    assert doctest.testmod(loaded(name)).failed == 0


def test_a_newcomer_finds_examples():
    modules = [importlib.import_module(name) for name in MODULES if name not in EXTRAS]
    found = {test.name for module in modules for test in doctest.DocTestFinder().find(module) if test.examples}
    assert len(found) >= LEAST, sorted(found)
