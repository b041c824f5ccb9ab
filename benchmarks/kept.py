"""Runs that are kept under docs/results: their metrics.json and validation.csv, without the places of a machine."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting.collect import read as reading
from pixelcnn_lit.reporting.collect import validations
from pixelcnn_lit.scores import ERROR, Score
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import copy_whole, write_whole

WHERE = ("name", "data.dir", "overwrite", "sweep", "launcher")
"""Keys of a command that say where something is or runs, and not what is trained; so do those of Hydra itself."""
UP_TO_THE_NAME = re.compile(r"[^=,\[\]{}'\"]*/")
"""In a value: the folders before a name."""
PLACE = re.compile(r"(^|[\s=,\[{'\"])(/|~/?)\w")
"""What only a text with a place of one machine has."""
NEEDED = {"data", "source", "levels", "test_images"}
"""What says of which images a score is a mean."""
IN_CONFIG = {"context": "context.name", "binarize": "data.binarize"}
"""Keys of the metrics that older runs have in their config alone."""
SWEEP = "sweep.json"
"""What is kept of a sweep (benchmarks/kept_sweep.py)."""
KEPT = (run_folder.METRICS, run_folder.CURVE, SWEEP)
"""The files of which a kept run or sweep is made."""
NAME = r"\w[\w-]*(/\w[\w-]*)*"
"""Of a kept run."""


@dataclass(frozen=True)
class Kept:
    """A kept run: its ``name`` below docs/results, its metrics, and its validations in the order of steps."""

    name: str
    metrics: Mapping[str, Any]
    score: Score
    """The score by which its checkpoints were compared."""
    curve: tuple[Mapping[str, float], ...]


def kept_runs(folder: Path) -> dict[str, Kept]:
    """All runs that are kept below a folder, by name.

    Raises UserError for metrics that are damaged or name a place of somebody's machine.
    """
    return {run.name: run for run in (read(path.parent, folder) for path in sorted(folder.rglob(run_folder.METRICS)))}


def read(folder: Path, results: Path) -> Kept:
    """The kept run in a folder below ``results``."""
    metrics, file = run_folder.finished(folder) or {}, folder / run_folder.METRICS
    score = run_folder.score_in(metrics)
    if score is None:
        raise UserError(f"{file}: damaged, or not of a run: it has no test score")
    refuse_lacking(metrics, file)
    for part in (metrics, *metrics.get("parts", ())):
        for key, value in part.items():
            refuse_place(value, f"{file}: {key}")
    curve = tuple(row for row in validations(folder) if score.name in row)
    return Kept(folder.relative_to(results).as_posix(), metrics, score, curve)


def keep(run: Path, name: str, results: Path, *, replace: bool) -> Path:
    """Copy what is kept of a finished run to ``results``/``name``. Returns that folder.

    What an older run does not say in its metrics is taken from the other files in its folder, where they know it.

    Raises UserError for a run that is not finished, a name outside ``results``, and one that is taken, unless
    ``replace``.
    """
    metrics = run_folder.finished(run)
    if metrics is None:
        raise UserError(f"{run}: no finished run: it has no complete {run_folder.METRICS}")
    folder = free(results, name, replace=replace)
    refuse_lacking(metrics, run / run_folder.METRICS)
    if folder.exists() and folder.samefile(run):
        raise UserError(f"{run}: is kept there already")
    older = {key: value for key, value in of_the_folder(run, metrics).items() if key not in metrics}
    found = {**metrics, **older, "source": Path(metrics["source"]).name}
    for part in (found, *found.get("parts", ())):
        if command := part.get("command"):
            part["command"] = without_places(command)
    empty(folder)
    with write_whole(folder / run_folder.METRICS) as file:
        file.write(json.dumps(found, indent=2).encode() + b"\n")
    if (run / run_folder.CURVE).exists():
        copy_whole(run / run_folder.CURVE, folder / run_folder.CURVE)
    return folder


def refuse_lacking(metrics: Mapping[str, Any], file: Path) -> None:
    """Raise UserError if metrics do not say of which images their score is a mean."""
    if lacking := NEEDED - metrics.keys():
        raise UserError(f"{file}: lacks {', '.join(sorted(lacking))}")


def refuse_place(value: Any, where: str) -> None:
    """Raise UserError if a value names a place of somebody's machine."""
    if isinstance(value, str) and PLACE.search(value):
        raise UserError(f"{where} names a place of one machine, {value!r}")


def free(results: Path, name: str, *, replace: bool) -> Path:
    """The folder for what is kept under a name. Raises UserError as :func:`keep`."""
    if not re.fullmatch(NAME, name):
        raise UserError(f"{name!r}: must be letters, digits, _ and -, with / between folders")
    folder = results / name
    taken = next((each for each in folder.parents if results in each.parents and is_kept(each)), None)
    if taken is not None or (folder.exists() and not is_kept(folder)):
        other = f"is in {taken}, a kept run" if taken else "holds others, and is no kept run"
        raise UserError(f"{folder}: {other}; choose another name")
    if folder.exists() and not replace:
        raise UserError(f"{folder}: there is a kept run of this name already; --replace takes its place")
    return folder


def is_kept(folder: Path) -> bool:
    """Whether a run or a sweep is kept in this folder itself."""
    return any((folder / file).exists() for file in KEPT)


def empty(folder: Path) -> None:
    """Delete what is kept in a folder, so that nothing of an older run stays beside what is kept now."""
    for file in KEPT:
        (folder / file).unlink(missing_ok=True)


def of_the_folder(run: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What today's metrics say of a run and other files in its folder know too."""
    known = reading(run)
    found = {key: known.config[name] for key, name in IN_CONFIG.items() if name in known.config}
    if "model.n_classes" in known.config:
        found["classes"] = known.config["model.n_classes"] or 0
    if known.overrides:
        program = "vqvae" if run_folder.score_in(metrics) == ERROR else "train"
        found["command"] = shlex.join(["python", "-m", f"pixelcnn_lit.{program}", *known.overrides])
    if date := date_of(run):
        found["date"] = date
    return found


def date_of(run: Path) -> str | None:
    """The day of the last line that says "finished" in a run's log; None without one."""
    try:
        lines = (run / run_folder.LOG).read_text().splitlines()
    except OSError:
        return None
    days = [match[1] for line in lines if (match := re.match(r"\[(\d{4}-\d\d-\d\d) .*finished:", line))]
    return days[-1] if days else None


def without_places(command: str) -> str:
    """A command without what says where something is: of files and folders, their names stay.

    >>> without_places("python -m pixelcnn_lit.train --config-dir /home/me/conf experiment=mine")
    'python -m pixelcnn_lit.train --config-dir conf experiment=mine'
    >>> without_places("python -m pixelcnn_lit.train seed=1 data=npz data.path=/home/me/cats.npz name=mine seed=2")
    'python -m pixelcnn_lit.train data=npz data.path=cats.npz seed=2'
    """
    return shlex.join(told(shlex.split(command)))


def told(words: Sequence[str]) -> list[str]:
    """The words of a command, or its overrides alone, without places; of a key that is given twice, the later value."""
    parts = [word.partition("=") for word in words]
    last = {key.lstrip("+~"): number for number, (key, _, _) in enumerate(parts)}
    return [
        (key if sign else UP_TO_THE_NAME.sub("", key)) + sign + UP_TO_THE_NAME.sub("", value)
        for number, (key, sign, value) in enumerate(parts)
        if not is_place(key.lstrip("+~")) and (not sign or last[key.lstrip("+~")] == number)
    ]


def is_place(key: str) -> bool:
    """Whether a key of a command says where something is, and not what is trained."""
    return key in WHERE or key.partition(".")[0].partition("/")[0] == "hydra"
