"""Where a run's folder holds what others look for."""

from __future__ import annotations

from pathlib import Path

RECORD = Path(".hydra", "config.yaml")
"""The config of the run."""
CHECKPOINTS, BEST, LAST = "checkpoints", "best.ckpt", "last.ckpt"


def best_of(run: Path) -> Path:
    """The best checkpoint of the run in a folder, whether it is there or not."""
    return run / CHECKPOINTS / BEST
