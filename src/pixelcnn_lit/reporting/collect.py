"""Reads the runs below a folder from their files, for tables and reports."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from pixelcnn_lit.config.changes import flat
from pixelcnn_lit.config.places import RECORD
from pixelcnn_lit.progress import tracked
from pixelcnn_lit.scores import BITS, ERROR, Score
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.sweeps.jobs import SWEEP_KEYS, Job, short

MOST_KEYS = 8
"""So many keys may differ between runs that are compared by them, and are no trials of a search."""


@dataclass(frozen=True)
class Run:
    """One run: its state, the values of its overrides, and its validations as (epochs, score)."""

    folder: Path
    status: run_folder.Status
    values: dict[str, str]
    overrides: tuple[str, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    """Its place in a report."""
    trial: int | None = None
    """The number of the trial of a search that it is."""

    @property
    def score(self) -> Score:
        """The score by which its checkpoints are compared."""
        return ERROR if "autoencoder.n_codes" in self.config else BITS

    @property
    def unknown(self) -> str:
        """Why nothing is known of what its score will be a mean over; empty if that is known."""
        if self.config or self.metrics:
            return ""
        return {"failed": "refused before they began", "not started": "not begun"}.get(self.status.state, "no config")

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json; empty for a run that is not finished."""
        return self.status.metrics or {}

    @property
    def test(self) -> float | None:
        """The score of the test split, or None without a test."""
        return self.metrics.get(self.score.test)

    @property
    def val(self) -> float | None:
        """The best validation so far."""
        if self.status.metrics is not None:
            return self.metrics.get(self.score.val)
        return min((score for _, score in self.curve), default=None)

    @property
    def epochs(self) -> float | None:
        """The number of epochs up to the end or the last validation, or None."""
        validated = self.curve[-1][0] if self.curve else None
        # A run that ended inside its first epoch is validated at its end; older versions then say that it had one.
        ended_within = self.metrics.get("steps_after_validation", 0) is None
        return self.metrics.get("epochs") if self.metrics and not (ended_within and validated) else validated

    def value(self, key: str) -> str:
        """The value of a key in the overrides or the config; empty if it is in neither."""
        if key in self.values:
            return self.values[key]
        found = self.config.get(key, self.config.get(f"{key}.name"))
        return "" if found is None else str(found)

    def label(self, keys: Sequence[str]) -> str:
        """What tells the run from others that differ in ``keys``: ``n_res=2 lr=0.00441``."""
        names = last_words(keys)
        told = [f"{names[key]}={short(self.value(key))}" for key in keys if self.value(key)]
        return " ".join(told) or self.folder.name

    def command(self) -> str:
        """The command that runs this run by itself, or of an autoencoder, the command of all stages."""
        module, folder = ("vqvae", self.folder.parent) if self.score == ERROR else ("train", self.folder)
        arguments = Job(Path(shown(folder.absolute())), self.overrides).arguments()
        return shlex.join(["python", "-m", f"pixelcnn_lit.{module}", *arguments])


def last_words(keys: Sequence[str]) -> dict[str, str]:
    """The keys without the sections that they are in, where that leaves them different.

    >>> last_words(["model.n_res", "data.levels", "data.n_classes", "model.n_classes"])["model.n_res"]
    'n_res'
    """
    last = [key.rpartition(".")[2] for key in keys]
    return {key: word if last.count(word) == 1 else key for key, word in zip(keys, last, strict=True)}


def runs_below(folder: Path) -> list[Run]:
    """All runs in or below ``folder``, numbered and sorted by test result; runs without a test come last."""
    paths = []
    for path, folders, _ in os.walk(folder):
        here = Path(path)
        if (here / run_folder.OVERRIDES).exists() or (here / run_folder.METRICS).exists():
            paths.append(here)
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))

    with tracked(paths, "reading runs", len(paths)) as each:
        found = [read(path) for path in each]

    found = [foreseen(run, found) for run in found]

    def rank(run: Run) -> tuple[bool, float, bool, float]:
        return run.test is None, run.test or 0, run.val is None, run.val or 0

    return [replace(run, number=number) for number, run in enumerate(sorted(found, key=rank))]


def foreseen(run: Run, found: Sequence[Run]) -> Run:
    """A job of a sweep that has not begun, with the config that it will have if it is in that of another job.

    It is not in it where the two differ in an option, such as a network, which decides what other keys there are.
    """
    if run.status.state != "not started" or run.config:
        return run
    for other in found:
        changed = dict(run.values.items() - other.values.items())
        of_one_sweep = other.folder.parent == run.folder.parent and other.values.keys() == run.values.keys()
        if of_one_sweep and other.config.keys() >= changed.keys():
            return replace(run, config=other.config | {key: _typed(text) for key, text in changed.items()})
    return run


def _typed(text: str) -> Any:
    """What the value of an override becomes in a config: null is None, and 4 a number."""
    return OverridesParser.create().parse_override(f"key={text}").value()


def read(folder: Path) -> Run:
    """Read a run from its folder. A damaged file counts as missing."""
    overrides = run_folder.overrides_in(folder / run_folder.OVERRIDES)
    config = run_folder.read_yaml(folder / RECORD)
    run = Run(
        folder,
        run_folder.status(folder),
        run_folder.values_of(overrides),
        tuple(override for override in overrides if override.partition("=")[0] not in SWEEP_KEYS),
        config=flat(config) if isinstance(config, dict) else {},
        trial=run_folder.trial(folder),
    )
    return replace(run, curve=curve(folder, run.score))


def curve(folder: Path, score: Score) -> tuple[tuple[float, float], ...]:
    """The validations of a run as (epochs, score), in the order of steps, without repetitions."""
    rows = validations(folder)
    return tuple((row["epochs"], row[score.name]) for row in rows if {"epochs", score.name} <= row.keys())


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
    return swept if len(swept) <= MOST_KEYS or all(run.trial is not None for run in found) else []
