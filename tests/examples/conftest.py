from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import process
from helpers.process import Result

EXAMPLES = Path(__file__).parents[2] / "examples"
Python = Callable[..., Result]


@pytest.fixture
def python() -> Python:
    """``python(*argv, cwd=, path=())``: a process of its own."""
    return process.python


@pytest.fixture
def example(tmp_path: Path) -> Callable[..., Path]:
    """A copy of folders of examples/, all in one."""

    def copy(*names: str) -> Path:
        ignored = shutil.ignore_patterns("__pycache__", "outputs")
        for name in names:
            shutil.copytree(EXAMPLES / name, tmp_path / "example", ignore=ignored, dirs_exist_ok=True)
        return tmp_path / "example"

    return copy
