"""What trained which steps of a run: one that goes on may do so by another command, with other code or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl

from pixelcnn_lit.data.images import TrainingBatch
from pixelcnn_lit.storage.run_folder import FROM
from pixelcnn_lit.training.origin import is_dirty


class Parts(pl.Callback):
    """Keeps in checkpoints what made each part of a training. A new part begins where any of it has changed.

    No part has a date: a run that dies and goes on ends in the same checkpoints as one that nobody has disturbed.
    """

    def __init__(self, made: Callable[[], dict[str, Any]]) -> None:
        """``made`` says what makes the steps of this process."""
        self._made = made
        self._parts: list[dict[str, Any]] = []
        self._next: dict[str, Any] | None = None
        """The part that begins with the first batch, if there is one: where no step is left, nothing is made."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._next = {FROM: trainer.global_step, **self._made()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: TrainingBatch, batch_idx: int
    ) -> None:
        if self._next is None:
            return
        part, self._next = self._next, None
        if part[FROM] and not self._parts:  # of a checkpoint that is older than this record
            self._parts = [{**dict.fromkeys(part), FROM: 0}]
        if not self._parts or _changed(self._parts[-1], part):
            self._parts.append(part)

    def last(self, steps: int) -> dict[str, Any]:
        """What made the last of so many steps; where nobody knows, None for all of it."""
        if self._parts:
            return {key: value for key, value in self._parts[-1].items() if key != FROM}
        return dict.fromkeys(self._made()) if steps else self._made()

    @property
    def several(self) -> list[dict[str, Any]]:
        """All parts, in their order, if there are several."""
        return self._parts if len(self._parts) > 1 else []

    def state_dict(self) -> dict[str, Any]:
        return {"parts": self._parts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._parts = list(state_dict["parts"])


def differences(parts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Of each part but the first: the step from which on it made the run, and what is new in it, in words."""
    for before, part in pairwise(parts):
        new = (f"{key} {part[key]}" if key != "command" else "another command" for key in _changed(before, part))
        yield part[FROM], ", ".join(new)


def _changed(before: Mapping[str, Any], part: Mapping[str, Any]) -> list[str]:
    """The keys in which two parts differ, other than their first steps."""
    keys = [key for key in part if key != FROM]
    return [key for key in keys if before.get(key) != part[key] or (key == "git" and is_dirty(part[key]))]
