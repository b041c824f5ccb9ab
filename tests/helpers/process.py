"""The commands as a user runs them: processes in an empty folder.

Many are forks of one process that has imported torch: of the five seconds that a command takes from a shell, four are
its imports. What trains, is about signals, or starts processes of its own is a process from the start.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

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
    atexit.register(started.kill)
    return started


def python(*argv: str, cwd: Path, path: tuple[Path, ...] = (), **variables: str) -> Result:
    """What ``python ARGV`` does in ``cwd``, with further folders on the path and variables in the environment."""
    with tempfile.TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        wish = {
            "argv": argv,
            "cwd": str(cwd),
            "path": [str(folder) for folder in path],
            "env": environment(**variables),
        }
        forks = server()
        forks.stdin.write(json.dumps({**wish, "out": str(out), "err": str(err)}) + "\n")
        forks.stdin.flush()
        code = int(forks.stdout.readline())
        return subprocess.CompletedProcess(argv, code, out.read_text(), err.read_text())


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
