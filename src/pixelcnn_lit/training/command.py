"""The command ``train``: starts or resumes a run in its folder."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from pixelcnn_lit import messages
from pixelcnn_lit.config import TrainConfig
from pixelcnn_lit.errors import Pruned
from pixelcnn_lit.metrics import VAL
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.training.run import Run


def train(config: TrainConfig) -> float | None:
    """Start or resume a run. Returns its best validation bits per dimension, None if it has none or is pruned."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    with run_folder.claimed(folder, config) as done:
        if done is not None:
            if run_folder.rank() == 0:
                print(f"{shown(folder)} is finished: {run_folder.summary(done)}. To start over: overwrite=true")
            return done.get(VAL)
        try:
            run = Run(config, folder, told=(list(hydra.overrides.task), hydra))
            run.fit()
            metrics = run.conclude()
        except Exception as error:
            if run_folder.rank() == 0:
                _note_the_end(folder, error)
            if isinstance(error, Pruned):
                return None
            raise
    return None if metrics is None else metrics.val


def _note_the_end(folder: Path, error: Exception) -> None:
    if isinstance(error, Pruned):
        run_folder.stop(folder, "pruned", str(error))
        messages.say(f"pruned: {error}")
    else:
        run_folder.stop(folder, "failed", messages.message(error))
        messages.SHOWN.error(messages.message(error))
