"""What the pages say of kept runs: tables, lists and single figures between comments that a reader does not see.

* ``<!--=NAME KEY FORM-->...<!--/-->``: a value of a run's metrics.json, in a format of Python: ``.4f``, ``,d``, ``s``.
* ``<!--table NAME: A B C-->`` to ``<!--/table-->``: runs beside each other, and their curves in docs/results/NAME.svg.
* ``<!--sweep NAME-->`` to ``<!--/sweep-->``: the command of a sweep, and its runs, the best validation first.
* ``<!--runs-->`` to ``<!--/runs-->``: all runs, and what is known of each.
* ``<!--shipped-->`` to ``<!--/shipped-->``: the models that come with the package.

What an older run does not say is "not kept".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.kept import Kept
from benchmarks.kept_sweep import KeptSweep
from benchmarks.tables import (
    COLUMNS,
    SCORE,
    UNKNOWN,
    common,
    images,
    lines_of,
    machine,
    table_of_shipped,
    table_of_sweep,
    written,
)
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.run_folder import FROM

FIGURE = re.compile(r"(<!--=(\S+) (\S+) ([^\s>]+)-->)(.*?)(<!--/-->)")
TABLE = re.compile(r"(<!--table ([\w-]+): ([^>]*?)-->\n)(.*?)(<!--/table-->)", re.DOTALL)
RUNS = re.compile(r"(<!--runs-->\n)(.*?)(<!--/runs-->)", re.DOTALL)
SHIPPED = re.compile(r"(<!--shipped-->\n)(.*?)(<!--/shipped-->)", re.DOTALL)
SWEEP = re.compile(r"(<!--sweep (\S+)-->\n)(.*?)(<!--/sweep-->)", re.DOTALL)
MARKERS = {"<!--=": FIGURE, "<!--table": TABLE, "<!--runs": RUNS, "<!--sweep": SWEEP, "<!--shipped": SHIPPED}
SAME = ("data", "source", "levels", "binarize", "classes", "test_images")
"""What the runs of a table have in common: only then do their scores compare."""


@dataclass(frozen=True)
class Page:
    """A page and the folder of the kept runs."""

    path: Path
    results: Path
    runs: Mapping[str, Kept]
    sweeps: Mapping[str, KeptSweep]

    @property
    def text(self) -> str:
        """What it says now."""
        return self.path.read_text()

    def filled(self) -> str:
        """What it should say. Raises UserError for a marker that is wrong, or runs that do not compare."""
        text = self.text
        if re.search(r"^ {0,3}<!--=", text, re.MULTILINE):
            raise UserError(f"{self.path}: a line begins with <!--=, so that Markdown would show it as it stands")
        for opening, pattern in MARKERS.items():
            if text.count(opening) != len(pattern.findall(text)):
                raise UserError(f"{self.path}: a comment that begins with {opening} is not complete, or is not closed")
        text = TABLE.sub(lambda found: found[1] + self._table(found[2], found[3].split()) + found[5], text)
        text = RUNS.sub(lambda found: found[1] + "\n".join(map(self._item, self.runs.values())) + "\n" + found[3], text)
        text = SWEEP.sub(lambda found: found[1] + self._sweep(found[2]) + found[4], text)
        text = SHIPPED.sub(lambda found: found[1] + table_of_shipped() + found[3], text)
        return FIGURE.sub(lambda found: found[1] + self._figure(*found.group(2, 3, 4)) + found[6], text)

    def tables(self) -> Iterator[tuple[str, list[Kept]]]:
        """The tables that have a picture: their names and runs."""
        for found in TABLE.finditer(self.text):
            runs = self._compared(found[2], found[3].split())
            if sum(bool(run.curve) for run in runs) > 1:
                yield found[2], runs

    def _run(self, name: str) -> Kept:
        if name not in self.runs:
            raise UserError(f"{self.path}: no run {name} is kept; there are {', '.join(self.runs)}")
        return self.runs[name]

    def _compared(self, table: str, names: Sequence[str]) -> list[Kept]:
        runs = [self._run(name) for name in names]
        if not runs:
            raise UserError(f"{self.path}: table {table}: names no run")
        if len({run.score for run in runs}) > 1:
            raise UserError(f"{self.path}: table {table}: bits/dim and errors do not compare")
        for key in SAME:
            values = {run.name: run.metrics[key] for run in runs if key in run.metrics}
            if len(set(values.values())) > 1:
                told = ", ".join(f"{name} {value}" for name, value in values.items())
                raise UserError(f"{self.path}: table {table}: {key} differs, so scores do not compare: {told}")
        return runs

    def _figure(self, name: str, key: str, form: str) -> str:
        known = sorted({key for run in self.runs.values() for key in run.metrics})
        if key not in known:
            raise UserError(f"{self.path}: no run has {key}; they have {', '.join(known)}")
        return written(self._run(name).metrics.get(key), form)

    def _link(self, run: Kept) -> str:
        return f"[{run.name}]({os.path.relpath(self.results / run.name, self.path.parent)})"

    def _table(self, name: str, names: Sequence[str]) -> str:
        runs = self._compared(name, names)
        columns = [column for column in COLUMNS if column.shown(runs)]
        rows = [[self._link(run), *(column.written(run) for column in columns)] for run in runs]
        unit = runs[0].score.unit
        heads = ["run", *(f"test {unit}" if column.key == SCORE else column.heading for column in columns)]
        rules = ["---", *("---" if column.form == "s" else "---:" for column in columns)]
        lines = [*lines_of(heads, rules, rows), "", common(runs)]
        if name in dict(self.tables()):
            path = os.path.relpath(self.results / f"{name}.svg", self.path.parent)
            lines += ["", f"![Validation {unit} over seconds of training]({path})"]
        return "\n".join(lines) + "\n"

    def _sweep(self, name: str) -> str:
        if name not in self.sweeps:
            raise UserError(f"{self.path}: no sweep {name} is kept; there are {', '.join(self.sweeps) or 'none'}")
        return table_of_sweep(self.sweeps[name])

    def _item(self, run: Kept) -> str:
        of, score = run.metrics, run.score
        facts = {
            "seed": written(of.get("seed"), "d"),
            "precision": written(of.get("precision"), "s"),
            "machine": machine(of) + (f", torch {of['torch']}" if of.get("torch") else ""),
            "date": written(of.get("date"), "s")[:10],
            "code": written(of.get("git"), "s"),
        }
        command = of.get("command")
        earlier = [
            f"  \n  to step {after[FROM]:,}, code {written(part['git'], 's')}, {machine(part)}, "
            f"{written(part.get('precision'), 's')}: "
            f"`{written(part['command'], 's')}`"
            for part, after in pairwise(of.get("parts", ()))
        ]
        return (
            f"- {self._link(run)}: {written(of[score.test], score.form)} {score.unit} of {images(of)}; "
            + "; ".join(f"{name} {value}" for name, value in facts.items() if value != UNKNOWN)
            + "".join(f"; {name} {UNKNOWN}" for name, value in facts.items() if value == UNKNOWN)
            + (f"; command {UNKNOWN}" if command is None else f"  \n  `{command}`")
            + "".join(earlier)
        )
