"""Sweeps that are kept under docs/results: the command, and what each run was told and reached, in sweep.json."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from benchmarks.kept import SWEEP, date_of, empty, free, refuse_place, told
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting.collect import Run, runs_below, swept_keys
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import write_whole
from pixelcnn_lit.sweeps.jobs import short

FACTS = ("data", "source", "levels", "val_images", "seed", "precision", "machine", "threads", "torch", "git")
"""What the runs of a sweep have in common, if they do."""
SWEEPER = "hydra.sweeper."


@dataclass(frozen=True)
class KeptSweep:
    """A kept sweep: its ``name`` below docs/results and the content of its file."""

    name: str
    command: str
    keys: Sequence[str]
    unit: str
    facts: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]]
    """The best validation first; those without one come last."""


def is_sweep(folder: Path) -> bool:
    """Whether a folder below outputs/ is that of a sweep."""
    return (folder / run_folder.SWEEP).is_file()


def kept_sweeps(folder: Path) -> dict[str, KeptSweep]:
    """All sweeps that are kept below a folder, by name."""
    return {sweep.name: sweep for sweep in (read(path, folder) for path in sorted(folder.rglob(SWEEP)))}


def read(path: Path, results: Path) -> KeptSweep:
    """Raises UserError for a file that is damaged or names a place of somebody's machine."""
    text = path.read_text()
    try:
        found = KeptSweep(path.parent.relative_to(results).as_posix(), **json.loads(text))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: damaged: {error}") from None
    refuse_places(found.command, found.facts, found.runs, path)
    return found


def refuse_places(command: str, facts: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Raise UserError if anything that is kept of a sweep names a place of somebody's machine."""
    for value in (command, *facts.values(), *(text for run in runs for text in (*run["values"], run["reason"]))):
        refuse_place(value, f"{path}:")


def keep_sweep(sweep: Path, name: str, results: Path, *, replace: bool) -> Path:
    """Write what is kept of a sweep to ``results``/``name``. Returns that folder.

    Raises UserError for a sweep that is not at its end, and for a name as :func:`~benchmarks.kept.keep`.
    """
    runs = runs_below(sweep)
    going_on = [run for run in runs if run.status.state in ("running", "interrupted", "not started")]
    if not runs or going_on:
        raise UserError(f"{sweep}: not at its end: " + (f"{len(going_on)} of {len(runs)} runs" if runs else "no run"))
    folder = free(results, name, replace=replace)
    keys, score = swept_keys(runs), runs[0].score
    ranked = sorted(runs, key=lambda run: (run.val is None, run.val or 0))
    found: dict[str, Any] = {
        "command": command_of(sweep),
        "keys": keys,
        "unit": score.unit,
        "facts": common(runs),
        "runs": [facts(run, keys) for run in ranked],
    }
    refuse_places(found["command"], found["facts"], found["runs"], sweep)
    empty(folder)
    with write_whole(folder / SWEEP) as file:
        file.write(json.dumps(found, indent=1).encode() + b"\n")
    return folder


def command_of(sweep: Path) -> str:
    """The command of a sweep, without places."""
    overrides = OmegaConf.load(sweep / run_folder.SWEEP).hydra.overrides
    sweeps = [word for word in overrides["task"] if word.startswith("sweep=")]
    searching = [word for word in overrides["hydra"] if word.startswith(SWEEPER)]
    return shlex.join(["python", "-m", "pixelcnn_lit.train", "-m", *sweeps, *told(overrides["task"]), *searching])


def common(runs: Sequence[Run]) -> dict[str, Any]:
    """The facts that all finished runs have in common, all code that these ran, and the day of the last one."""
    metrics = [run.metrics for run in runs if run.metrics]
    found = {key: metrics[0].get(key) for key in FACTS if len({str(each.get(key)) for each in metrics}) == 1}
    codes = dict.fromkeys(part.get("git") or "not known" for each in metrics for part in run_folder.parts(each))
    found["git"] = " and ".join(codes)
    days = [day for run in runs if (day := date_of(run.folder))]
    return {**found, "source": Path(found.get("source") or "").name, "date": max(days, default=None)}


def facts(run: Run, keys: Sequence[str]) -> dict[str, Any]:
    """What is kept of a run: the values of the swept keys, how it ended, and how good it was."""
    return {
        "values": [short(run.value(key)) for key in keys],
        "state": run.status.state,
        "reason": run.status.reason,
        "steps": run.metrics.get("steps"),
        "validation": run.val,
        "processor_seconds": run.metrics.get("processor_seconds"),
    }
