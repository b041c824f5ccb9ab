"""A job of a sweep: its overrides, the folder named after them, and its command."""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import Override

from pixelcnn_lit.config.composition import as_options
from pixelcnn_lit.config.values import typed
from pixelcnn_lit.errors import UserError

SWEEP_KEYS = ("sweep", "launcher", "overwrite")
"""The overrides that are for the sweep, not for its jobs."""
LONGEST = 150
LONGEST_NUMBER = 7
"""A number with so many characters is shown as it is."""


@dataclass(frozen=True)
class Job:
    """A job. ``overrides`` are without the folder; ``swept`` are those that differ between the jobs of a sweep."""

    folder: Path
    overrides: tuple[str, ...]
    swept: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def told(self) -> str:
        """What tells the job from the others, for a table: ``optimizer.lr=0.00441 model.n_res=2``."""
        parts = (override.partition("=") for override in self.swept)
        return " ".join(f"{key}{sign}{short(value)}" for key, sign, value in parts) or self.name

    def arguments(self) -> list[str]:
        """The arguments after ``python -m pixelcnn_lit.train``."""
        return [*self.overrides, f"hydra.run.dir={typed(str(self.folder))}"]

    def command(self, configs: Sequence[str] = ()) -> list[str]:
        """The command that runs the job alone; ``configs`` are folders of further configs."""
        return [sys.executable, "-m", "pixelcnn_lit.train", *as_options(configs), *self.arguments()]


def short(value: str) -> str:
    """A value of an override as it is shown: a long number with three digits, as searches suggest them.

    >>> short("0.0044136730191800"), short("0.0005"), short("12345678"), short("pixelcnn")
    ('0.00441', '0.0005', '12345678', 'pixelcnn')
    """
    try:
        return value if len(value) <= LONGEST_NUMBER or value.isdigit() else f"{float(value):.3g}"
    except ValueError:
        return value


def folder_name(swept: Sequence[str], taken: Container[str] = ()) -> str:
    """The folder name of a job from its swept overrides. It needs no quotes in a shell or in ``ckpt=outputs/...``.

    If characters are replaced, a long name is cut, or the name in lower case is one of ``taken``, a hash of the
    overrides keeps the names different.

    >>> folder_name(["model.n_res=5", "data.levels=2"])
    'model.n_res-5+data.levels-2'
    """
    exact = "+".join(override.lstrip("+").replace("=", "-", 1) for override in swept) or "run"
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "_", exact)[:LONGEST]
    return (
        name
        if name == exact and name.lower() not in taken
        else f"{name}-{hashlib.sha256(exact.encode()).hexdigest()[:6]}"
    )


def grid(overrides: Sequence[Override], sweep_dir: Path) -> list[Job]:
    """A job per combination of the comma-separated values. Raise UserError for an interval, which has no end."""
    choices: list[list[str]] = []
    varies: list[bool] = []
    for override in overrides:
        key = override.get_key_element()
        if override.key_or_group in SWEEP_KEYS:
            continue
        if not override.is_sweep_override():
            values = [override.input_line or f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(f"{override.input_line}: a grid needs values, not an interval; or search with sweep=optuna")
        choices.append(values)
        varies.append(override.is_sweep_override())
    jobs: dict[tuple[str, ...], Job] = {}
    taken: set[str] = set()
    for combination in itertools.product(*choices):
        swept = tuple(itertools.compress(combination, varies))
        if swept not in jobs:
            # The disks of macOS take two names that differ in case alone as one folder.
            name = folder_name(swept, taken)
            taken.add(name.lower())
            jobs[swept] = Job(sweep_dir / name, combination, swept)
    return list(jobs.values())
