"""Where the figures of a run come from: its command, its date, its machine and its code."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import pixelcnn_lit
from pixelcnn_lit.config.composition import as_options, further_folders
from pixelcnn_lit.device import name_of

DIRTY = "-dirty"
"""The end of a revision whose files were changed since it was committed."""


def command(module: str, words: Sequence[str]) -> str:
    """A command as a shell is told it."""
    return shlex.join(["python", "-m", module, *words])


def config_options(hydra: Any) -> list[str]:
    """The options that gave Hydra its folders of further configs; ``hydra`` is Hydra's own config."""
    sources = (hydra.get("runtime") or {}).get("config_sources") or []
    return as_options(further_folders(sources))


def origin(device: torch.device, revision: str | None) -> dict[str, Any]:
    """What metrics.json says of it: fields of :class:`~pixelcnn_lit.training.summary.Metrics`.

    ``revision`` is :func:`git_revision` when the run began: the code may change while it trains.
    """
    return {
        "git": revision,
        "machine": name_of(device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),  # a checkpoint takes plain text alone
        "version": pixelcnn_lit.__version__,
    }


def now() -> str:
    """The date and the time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_revision() -> str | None:
    """The git commit of this code, with "-dirty" if files were changed since; None if the code is not in a checkout."""
    here = Path(__file__)
    try:
        # Without this check, a package installed inside another repository would report the commit of that one.
        git("ls-files", "--error-unmatch", here.name, cwd=here.parent)
        return git("describe", "--always", f"--dirty={DIRTY}", "--abbrev=12", cwd=here.parent)
    except (OSError, subprocess.SubprocessError):
        return None


def is_dirty(revision: str | None) -> bool:
    """Whether a revision does not say what the code was: the same one may stand for different changes."""
    return revision is not None and revision.endswith(DIRTY)


def git(*arguments: str, cwd: Path) -> str:
    """The output of a git command. Raise OSError if git is missing, subprocess.SubprocessError if the command fails."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
