"""The commands as a user runs them: processes in an empty folder.

Most are forks of one process that has imported torch: of the five seconds that a command takes from a shell, four are
its imports. One training and one sweep are processes from the start, and so are the jobs of sweeps.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Result = subprocess.CompletedProcess[str]


def environment(**variables: str) -> dict[str, str]:
    """That of this process, with wide tables."""
    return {**os.environ, "COLUMNS": "160", **variables}


@functools.cache
def server() -> subprocess.Popen[str]:
    """The process that forks; it ends with this one."""
    started = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forks.py"))],
        env=environment(OMP_NUM_THREADS="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(started.wait)
    atexit.register(started.stdin.close)  # before the wait: the server ends where its input does
    return started


class Started:
    """A command in a fork, from its start on: what ``python ARGV`` does in ``cwd``.

    With further folders on the path and variables in the environment.
    """

    def __init__(self, *argv: str, cwd: Path, path: tuple[Path, ...] = (), **variables: str) -> None:
        self._argv, self._kept = argv, tempfile.TemporaryDirectory()
        self._out, self._err = (Path(self._kept.name, name) for name in ("out", "err"))
        wish = {
            "argv": argv,
            "cwd": str(cwd),
            "path": [str(folder) for folder in path],
            "env": environment(**variables),
        }
        self._pid = asked({**wish, "out": str(self._out), "err": str(self._err)})

    def wait_for(self, shown: Callable[[list[str]], bool], seconds: float = 120) -> None:
        """Until the lines on standard output are as wished."""
        end = time.monotonic() + seconds
        while not (self._out.exists() and shown(self._out.read_text().splitlines())):
            assert time.monotonic() < end, self._out.read_text() + self._err.read_text()
            time.sleep(0.005)

    def send_signal(self, number: int) -> None:
        os.kill(self._pid, number)

    def wait(self) -> Result:
        """Until it has ended."""
        with self._kept:
            code = asked(self._pid)
            return subprocess.CompletedProcess(self._argv, code, self._out.read_text(), self._err.read_text())


def asked(wish: dict[str, Any] | int) -> int:
    """What the server answers."""
    forks = server()
    forks.stdin.write(json.dumps(wish) + "\n")
    forks.stdin.flush()
    return int(forks.stdout.readline())


def python(*argv: str, cwd: Path, path: tuple[Path, ...] = (), **variables: str) -> Result:
    """What ``python ARGV`` does in ``cwd``, to its end: see :class:`Started`."""
    return Started(*argv, cwd=cwd, path=path, **variables).wait()


def forked(name: str, *arguments: str, cwd: Path, **variables: str) -> Result:
    """What ``python -m pixelcnn_lit.NAME ARGUMENTS`` does in ``cwd``, by :func:`python`."""
    return python("-m", f"pixelcnn_lit.{name}", *arguments, cwd=cwd, **variables)


def command(name: str, *arguments: str, cwd: Path, **variables: str) -> Result:
    """Run ``python -m pixelcnn_lit.NAME ARGUMENTS`` in ``cwd``, a process from the start."""
    return subprocess.run(
        [sys.executable, "-m", f"pixelcnn_lit.{name}", *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


def succeeds(result: Result) -> str:
    """The standard output of a command that ended well."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def fails(result: Result, *parts: str) -> str:
    """The one line on standard error of a command that did not, which holds all ``parts``."""
    assert result.returncode != 0, result.stdout
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.stdout
    for part in parts:
        assert part in lines[0]
    return lines[0]


TINY = [
    "model.n_res=1",
    "model.hidden=4",
    "data.levels=2",
    "data.source=torchvision",
    "data.batch_size=16",
    "callbacks.pictures.every_n_epochs=1",
    "callbacks.pictures.n=4",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=1",
]
