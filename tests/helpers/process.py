"""The commands as a user runs them: processes in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

Result = subprocess.CompletedProcess[str]


def environment(**variables: str) -> dict[str, str]:
    """That of this process, with wide tables."""
    return {**os.environ, "COLUMNS": "160", **variables}


def command(name: str, *arguments: str, cwd: Path, **variables: str) -> Result:
    """Run ``python -m pixelcnn_lit.NAME ARGUMENTS`` in ``cwd``."""
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
