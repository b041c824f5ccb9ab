from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.process import Result, environment

EXAMPLES = Path(__file__).parents[2] / "examples"
Python = Callable[..., Result]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Python]:
    """``python(*argv, cwd=, path=[])``: a process of its own, forked from one that has imported torch already."""
    kept = tmp_path_factory.mktemp("output")
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forks.py"))],
        env=environment(OMP_NUM_THREADS="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(*argv: str, cwd: Path, path: tuple[Path, ...] = ()) -> Result:
        out, err = kept / "out", kept / "err"
        wish = {"argv": argv, "cwd": str(cwd), "path": [str(folder) for folder in path], "out": str(out)}
        server.stdin.write(json.dumps({**wish, "err": str(err)}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(argv, code, out.read_text(), err.read_text())

    yield run
    server.kill()
    server.wait()


@pytest.fixture
def example(tmp_path: Path) -> Callable[..., Path]:
    """A copy of folders of examples/, all in one."""

    def copy(*names: str) -> Path:
        ignored = shutil.ignore_patterns("__pycache__", "outputs")
        for name in names:
            shutil.copytree(EXAMPLES / name, tmp_path / "example", ignore=ignored, dirs_exist_ok=True)
        return tmp_path / "example"

    return copy
