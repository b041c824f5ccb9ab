"""What the pages say of kept runs: tables, lists and single figures between comments that a reader does not see.

* ``<!--=NAME KEY FORM-->...<!--/-->``: a value of a run's metrics.json, in a format of Python: ``.4f``, ``,d``, ``s``.
* ``<!--table NAME: A B C-->`` to ``<!--/table-->``: runs beside each other, and their curves in docs/results/NAME.svg.
* ``<!--sweep NAME-->`` to ``<!--/sweep-->``: the command of a sweep, and its runs, the best validation first.
* ``<!--runs-->`` to ``<!--/runs-->``: all runs, and what is known of each.

What an older run does not say is "not kept".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.kept import Kept
from benchmarks.kept_sweep import KeptSweep
from benchmarks.machine import threads
from pixelcnn_lit.errors import UserError

FIGURE = re.compile(r"(<!--=(\S+) (\S+) ([^\s>]+)-->)(.*?)(<!--/-->)")
TABLE = re.compile(r"(<!--table ([\w-]+): ([^>]*?)-->\n)(.*?)(<!--/table-->)", re.DOTALL)
RUNS = re.compile(r"(<!--runs-->\n)(.*?)(<!--/runs-->)", re.DOTALL)
SWEEP = re.compile(r"(<!--sweep (\S+)-->\n)(.*?)(<!--/sweep-->)", re.DOTALL)
MARKERS = {"<!--=": FIGURE, "<!--table": TABLE, "<!--runs": RUNS, "<!--sweep": SWEEP}
UNKNOWN = "not kept"
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
        lines = [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)]
        lines += ["", common(runs)]
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
        device = written(of.get("machine"), "s")
        facts = {
            "seed": written(of.get("seed"), "d"),
            "precision": written(of.get("precision"), "s"),
            "machine": device if "threads" not in of else f"{device}, {threads(of['threads'])}, torch {of['torch']}",
            "date": written(of.get("date"), "s")[:10],
            "code": written(of.get("git"), "s"),
        }
        command = of.get("command")
        return (
            f"- {self._link(run)}: {written(of[score.test], score.form)} {score.unit} of {images(of)}; "
            + "; ".join(f"{name} {value}" for name, value in facts.items() if value != UNKNOWN)
            + "".join(f"; {name} {UNKNOWN}" for name, value in facts.items() if value == UNKNOWN)
            + (f"; command {UNKNOWN}" if command is None else f"  \n  `{command}`")
        )


SCORE = "score"


@dataclass(frozen=True)
class Column:
    """A column of a table: a value of the metrics in a format; the score has its own.

    ``when`` it is shown: "always", if any run has it ("known"), or if the runs differ in it ("differs").
    """

    key: str
    heading: str
    form: str
    when: Literal["always", "known", "differs"]

    def of(self, run: Kept) -> Any:
        return run.metrics.get(run.score.test if self.key == SCORE else self.key)

    def written(self, run: Kept) -> str:
        return written(self.of(run), run.score.form if self.key == SCORE else self.form)

    def shown(self, runs: Sequence[Kept]) -> bool:
        values = {self.of(run) for run in runs}
        return {"always": True, "known": values != {None}, "differs": len(values - {None}) > 1}[self.when]


COLUMNS = (
    Column("model", "network", "s", "known"),
    Column("context", "given", "s", "differs"),
    Column("precision", "precision", "s", "differs"),
    Column("seed", "seed", "d", "differs"),
    Column("params", "parameters", ",d", "always"),
    Column("steps", "steps", ",d", "always"),
    Column("train_seconds", "seconds", ",.0f", "always"),
    Column("processor_seconds", "processor seconds", ",.0f", "always"),
    Column(SCORE, "", "", "always"),
    Column("test/nats_per_image", "nats/image", ",.2f", "known"),
    Column("test/psnr", "PSNR", ".2f", "known"),
)


def written(value: Any, form: str) -> str:
    """A value in a format; what is not known is "not kept". Raises UserError if the format is not of such a value."""
    if value is None:
        return UNKNOWN
    try:
        return format(value, form)
    except ValueError as error:
        raise UserError(f"{value!r} in the format {form}: {error}") from None


def images(of: Mapping[str, Any]) -> str:
    """The images that a score is a mean over."""
    binarised = ", binarised" if of.get("binarize") else ""
    given = ", given the class" if of.get("classes") else ""
    return (
        f"{of['test_images']:,} test images of {of['data']} ({of['source']}), {of['levels']} levels{binarised}{given}"
    )


def table_of_sweep(sweep: KeptSweep) -> str:
    """The command of a sweep, what its runs have in common, and a line for each."""
    of = sweep.facts
    device = f"{written(of.get('machine'), 's')}, {threads(of['threads'])}" if "threads" in of else UNKNOWN
    told = [
        f"{len(sweep.runs)} runs",
        f"validation on {written(of.get('val_images'), ',d')} images of {of.get('data')}",
    ]
    told += [f"{key} {written(of.get(key), form)}" for key, form in (("seed", "d"), ("precision", "s"))]
    told += [f"machine {device}", f"date {written(of.get('date'), 's')[:10]}", f"code {written(of.get('git'), 's')}"]
    heads = [*sweep.keys, f"validation {sweep.unit}", "steps", "processor seconds", "state"]
    rules = [*("---" for _ in sweep.keys), "---:", "---:", "---:", "---"]
    rows = [
        [
            *run["values"],
            written(run["validation"], ".4f"),
            written(run["steps"], ",d"),
            written(run["processor_seconds"], ",.0f"),
            f"{run['state']}: {run['reason']}" if run["reason"] else run["state"],
        ]
        for run in sweep.runs
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)]
    return "\n".join([f"`{sweep.command}`", "", *lines, "", "; ".join(told) + "."]) + "\n"


def common(runs: Sequence[Kept]) -> str:
    """A line of what the runs of a table have in common."""
    binarised = next((run for run in runs if run.metrics.get("binarize")), runs[0])
    told = [images(binarised.metrics)]
    for key, name in (("seed", "seed "), ("precision", "")):
        values = {run.metrics.get(key) for run in runs}
        told += [f"{name}{value}" for value in values if len(values) == 1 and value is not None]
    text = f"Means over {'; '.join(told)}."
    # Runs of today validate at their last step.
    lacking = [f"{run.name} {steps:,}" for run in runs if (steps := run.metrics.get("steps_after_validation"))]
    return text + (f" Without the steps after the last validation: {', '.join(lacking)}." if lacking else "")
