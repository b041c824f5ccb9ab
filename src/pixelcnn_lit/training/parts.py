"""What trained which steps of a run: one that goes on may do so by another command, with other code or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from pixelcnn_lit.data.images import TrainingBatch

FROM = "from_step"
"""In a part: the number of steps that were done before it."""


class Parts(pl.Callback):
    """Keeps in checkpoints what made each part of a training: a new one begins where more than the date is another."""

    def __init__(self, made: Callable[[], dict[str, Any]]) -> None:
        """``made`` says what makes this part, and its date."""
        self._made = made
        self._parts: list[dict[str, Any]] = []
        self._next: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._next = {FROM: trainer.global_step, **self._made()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: TrainingBatch, batch_idx: int
    ) -> None:
        # Not at the start: where no step is left to do, nothing is made.
        if self._next is None:
            return
        now, self._next = self._next, None
        if now[FROM] and not self._parts:  # of a checkpoint that is older than this record
            self._parts = [{**dict.fromkeys(now), FROM: 0}]
        if not self._parts or _without_date(self._parts[-1]) != _without_date(now):
            self._parts.append(now)

    @property
    def several(self) -> list[dict[str, Any]]:
        """All parts, in their order, if there are several."""
        return self._parts if len(self._parts) > 1 else []

    @property
    def last(self) -> dict[str, Any]:
        """What made the last part; without a training, what makes this process."""
        return {key: value for key, value in self._parts[-1].items() if key != FROM} if self._parts else self._made()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": self._parts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._parts = list(state_dict["parts"])


def _without_date(made: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key not in (FROM, "date")}
