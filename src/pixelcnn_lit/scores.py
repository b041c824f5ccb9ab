"""The scores by which the checkpoints of a run are compared, and their names in logs and files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A number of a split, the lower the better."""

    name: str
    unit: str
    form: str
    """How it is written: a format specification."""

    @property
    def train(self) -> str:
        return f"train/{self.name}"

    @property
    def val(self) -> str:
        return f"val/{self.name}"

    @property
    def test(self) -> str:
        return f"test/{self.name}"


BITS = Score("bits_per_dim", "bits/dim", ".4f")
"""Of a density."""

ERROR = Score("mse", "mean squared error", ".6f")
"""Of an autoencoder: per dimension, of images in [0, 1]."""

SCORES = (BITS, ERROR)
