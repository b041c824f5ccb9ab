"""Reads the runs below a folder from their files, for tables and reports."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pixelcnn_lit.config.changes import flat
from pixelcnn_lit.config.places import RECORD
from pixelcnn_lit.progress import tracked
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.sweeps.jobs import SWEEP_KEYS, Job

MOST_KEYS = 12
"""So many keys may differ between runs that are compared by them."""


@dataclass(frozen=True)
class Run:
    """One run: its state, the values of its overrides, and its validations as (epochs, bits per dimension)."""

    folder: Path
    status: run_folder.Status
    values: dict[str, str]
    overrides: tuple[str, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def test(self) -> float | None:
        """Bits per dimension of the test split, or None without a test."""
        return None if self.status.metrics is None else self.status.metrics.get("test/bits_per_dim")

    @property
    def val(self) -> float | None:
        """The best validation so far, in bits per dimension."""
        if self.status.metrics is not None:
            return self.status.metrics.get("val/bits_per_dim")
        return min((bits for _, bits in self.curve), default=None)

    @property
    def epochs(self) -> float | None:
        """The number of epochs up to the end or the last validation, or None."""
        if self.status.metrics is not None:
            return self.status.metrics.get("epochs")
        return self.curve[-1][0] if self.curve else None

    def value(self, key: str) -> str:
        """The value of a key in the overrides or the config, as a short text; empty if it is in neither."""
        if key in self.values:
            return _short(self.values[key])
        found = self.config.get(key, self.config.get(f"{key}.name"))
        return "" if found is None else _short(str(found))

    def command(self) -> str:
        """The command that runs this run by itself, or of an autoencoder, the command of all stages."""
        coded = "autoencoder.n_codes" in self.config
        module, folder = ("vqvae", self.folder.parent) if coded else ("train", self.folder)
        arguments = Job(Path(shown(folder.absolute())), self.overrides).arguments()
        return shlex.join(["python", "-m", f"pixelcnn_lit.{module}", *arguments])


def _short(text: str) -> str:
    """A long number, as searches suggest them, with four digits; other texts stay as they are."""
    try:
        return f"{float(text):.4g}" if len(text) > 10 else text
    except ValueError:
        return text


def runs_below(folder: Path) -> list[Run]:
    """All runs in or below ``folder``, sorted by test result; runs without a test come last."""
    paths = []
    for path, folders, _ in os.walk(folder):
        here = Path(path)
        if (here / run_folder.OVERRIDES).exists() or (here / run_folder.METRICS).exists():
            paths.append(here)
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))

    with tracked(paths, "reading runs", len(paths)) as each:
        found = [read(path) for path in each]

    def rank(run: Run) -> tuple[bool, float, bool, float]:
        return run.test is None, run.test or 0, run.val is None, run.val or 0

    return sorted(found, key=rank)


def read(folder: Path) -> Run:
    """Read a run from its folder. A damaged file counts as missing."""
    overrides = tuple(str(override) for override in _yaml(folder / run_folder.OVERRIDES) or ())
    config = _yaml(folder / RECORD)
    return Run(
        folder,
        run_folder.status(folder),
        {key.lstrip("+"): value for key, _, value in (override.partition("=") for override in overrides)},
        tuple(override for override in overrides if override.partition("=")[0] not in SWEEP_KEYS),
        curve(folder),
        flat(config) if isinstance(config, dict) else {},
    )


def _yaml(path: Path) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception:  # YAML's and OmegaConf's errors have no base in common
        return None


def curve(folder: Path) -> tuple[tuple[float, float], ...]:
    """The validations of a run as (epochs, bits per dimension), in the order of steps, without repetitions."""
    return tuple((row["epochs"], row[BITS.name]) for row in validations(folder) if {"epochs", BITS.name} <= row.keys())


def validations(folder: Path) -> tuple[dict[str, float], ...]:
    """The lines of a run's validation.csv by the names of its columns, in the order of steps, without repetitions.

    A value that is not there, such as seconds that nobody counted, is left out. There are none without the file.
    """
    by_step: dict[float, dict[str, float]] = {}
    try:
        with (folder / run_folder.CURVE).open(newline="") as file:
            for row in csv.DictReader(file):
                try:
                    values = {key: float(value) for key, value in row.items() if value}
                    by_step[values["steps"]] = values
                except (KeyError, TypeError, ValueError):
                    continue  # a line that a killed run did not finish
    except OSError:
        return ()
    return tuple(by_step[step] for step in sorted(by_step))


def swept_keys(found: Sequence[Run]) -> list[str]:
    """The keys whose values differ between the runs, in the order of their overrides; none if they are too many.

    Then the runs are no sweep, such as the stages of a VQ-VAE-2, and are told apart by their folders.
    """
    keys = dict.fromkeys(key for run in found for key in run.values if key not in ("name", "data.dir", *SWEEP_KEYS))
    swept = [key for key in keys if len({run.value(key) for run in found}) > 1 and not key.startswith("hydra")]
    return swept if len(swept) <= MOST_KEYS else []
