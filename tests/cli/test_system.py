"""Systems and Pythons in which the commands cannot work say so in one line."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from helpers.process import fails
from pixelcnn_lit import cli
from pixelcnn_lit.config import TrainConfig

ROOT = Path(__file__).parents[2]


def started(prelude, *arguments):
    """What ``python -m pixelcnn_lit.train ARGUMENTS`` does after some lines that change Python."""
    code = f"import runpy, sys; {prelude}; runpy.run_module('pixelcnn_lit.train', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=240)


def test_without_locks_as_on_windows_one_line_says_which_systems_are_meant():
    result = started("sys.modules['fcntl'] = None; import pixelcnn_lit.cli; sys.platform = 'win32'", "name=x")
    assert fails(result) == "error: win32: pixelcnn-lit runs on Linux and macOS, and on Windows in WSL alone"


@pytest.mark.parametrize("argument", ["--help", "name=x"])
def test_a_python_that_hydra_does_not_know_is_told_in_one_line(argument, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    monkeypatch.setattr(sys, "argv", ["train", argument])
    with pytest.raises(SystemExit) as end:
        cli.run("train", TrainConfig, "")
    assert end.value.code == 1
    line = "error: Python 3.14: pixelcnn-lit needs 3.11 to 3.13; Hydra 1.3 fails in newer ones\n"
    assert capsys.readouterr().err == line


def test_the_bounds_of_python_are_the_same_everywhere(tmp_path):
    major, minor = cli.TOO_NEW
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">=3.11,<{major}.{minor}"
    allowed = [f"3.{number}" for number in range(11, minor)]
    assert [word[-4:] for word in project["classifiers"] if re.search(r"Python :: 3\.\d", word)] == allowed
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert re.findall(r"3\.\d+", re.search(r"python: \[(.*)\]", workflow)[1]) == allowed


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_make_says_which_pythons_it_takes(version, tmp_path):
    python = tmp_path / "python"
    setting = f"import sys; sys.version_info = {version}; exec(sys.argv[2])"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -V ]; then echo Python {version[0]}.{version[1]}.0; exit; fi\n'
        f'exec {sys.executable} -c "{setting}" "$@"\n'
    )
    python.chmod(0o755)
    make = ["make", "-s", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", "setup"]
    result = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    first = result.stderr.splitlines()[0]
    assert first == (
        f"pixelcnn-lit needs Python 3.11, 3.12 or 3.13; {python} is Python {version[0]}.{version[1]}.0. "
        "Name another one: make PYTHON=python3.12 setup"
    )
    assert not (tmp_path / "venv").exists()
