"""The command ``train``: starts or resumes a run in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from pixelcnn_lit import messages
from pixelcnn_lit.config import TrainConfig
from pixelcnn_lit.errors import Pruned
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.training.base_run import BaseRun, C
from pixelcnn_lit.training.run import Run


def train(config: TrainConfig) -> float | None:
    """Start or resume a run. Returns its best validation bits per dimension, None if it has none or is pruned."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    try:
        metrics = in_folder(Run, config, folder, (list(hydra.overrides.task), hydra))
    except Pruned:
        return None
    return None if metrics is None else metrics.get(Run.score.val)


def in_folder(
    kind: type[BaseRun[C]], config: C, folder: Path, told: tuple[Sequence[str], Any]
) -> dict[str, Any] | None:
    """Start or resume a run of ``config`` in its folder, unless it is finished. Returns its metrics.

    ``told`` are the overrides of the command line and Hydra's config. The metrics are None in all processes but the
    first. What ends the run early is noted in its folder, and raised.
    """
    with run_folder.claimed(folder, config) as done:
        if done is not None:
            if run_folder.rank() == 0:
                print(f"{shown(folder)} is finished: {run_folder.summary(done)}. To start over: overwrite=true")
            return done
        try:
            run = kind(config, folder, told=told)
            run.fit()
            metrics = run.conclude()
        except Exception as error:
            if run_folder.rank() == 0:
                _note_the_end(folder, error)
            raise
    return None if metrics is None else metrics.as_json()


def _note_the_end(folder: Path, error: Exception) -> None:
    if isinstance(error, Pruned):
        run_folder.stop(folder, "pruned", str(error))
        messages.say(f"pruned: {error}")
    else:
        run_folder.stop(folder, "failed", messages.message(error))
        messages.SHOWN.error(messages.message(error))
