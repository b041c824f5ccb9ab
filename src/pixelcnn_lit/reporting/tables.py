"""The tables of a report in a terminal, which break no number and no word of a header."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from pixelcnn_lit.reporting.collect import Run
from pixelcnn_lit.reporting.compare import SEED, Group, Mean, Setting
from pixelcnn_lit.scores import Score
from pixelcnn_lit.sweeps.jobs import short

STYLES = {"finished": "green", "failed": "red", "pruned": "yellow", "running": "cyan"}
LEFT_OUT_FIRST = ("images/s", "parameters", "epochs", "val")
"""The columns that a narrow terminal goes without, in this order."""
RUN = "run"
"""The column that tells what each run was told, in one."""
LONGEST_WORD = 30
"""Of what tells a run: only names of folders are longer, and they are broken where there is no room."""
SPACES = 3
"""Around a cell, with the line to the next one."""


@dataclass(frozen=True)
class Column:
    """A column: the lines of its header, and its cells."""

    name: str
    header: tuple[str, ...]
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        """The widest line of its header and its widest cell; of the column of runs, whose lines break, a word."""
        if self.name != RUN:
            return max(map(len, (*self.header, *self.cells)))
        return min(LONGEST_WORD, max(len(word) for cell in self.cells for word in cell.split()))


def results(run: Run) -> dict[str, str]:
    """The texts of what a run reached, by the names of the columns."""
    metrics, score = run.metrics, run.score

    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return {
        "test": number(run.test, score.form),
        "val": number(run.val, score.form),
        "parameters": number(metrics.get("params"), ",d"),
        "epochs": number(run.epochs, ".3g") + told_of(run),
        "images/s": number(metrics.get("images_per_second"), ",.0f"),
        "state": run.status.state,
    }


def means(setting: Setting, score: Score) -> dict[str, str]:
    """The texts of what runs of several seeds reached, by the names of the columns."""

    def spread(found: Mean | None) -> str:
        if found is None:
            return ""
        deviation = "" if found.deviation is None else f" ± {found.deviation:{score.form}}"
        return f"{found.mean:{score.form}}{deviation}"

    n_runs = len(setting.runs)
    seeds = f"{setting.n_tested}" if setting.n_tested == n_runs else f"{setting.n_tested} of {n_runs}"
    return {"seeds": seeds, "test": spread(setting.test), "val": spread(setting.val)}


def told_of(run: Run) -> str:
    """Of how many epochs, of a run that is not finished: `` of 9``; empty where the config does not say."""
    asked = run.config.get("trainer.max_epochs")
    return f" of {asked}" if not run.metrics and run.epochs is not None and asked and asked > 0 else ""


def table(group: Group, width: int) -> tuple[Table, list[str]]:
    """The table of a group, the best run first, and the names of the columns that have no room in ``width``.

    Where the swept keys have no room beside each other, they stand in one column, where lines break between them.
    """
    runs = [run.label(group.keys) for run in group.runs]
    names = [Column(key, _parts(key), tuple(short(run.value(key)) for run in group.runs)) for key in group.keys]
    return _table(group.label, names, runs, _numbers([results(run) for run in group.runs], group), width)


def table_of_means(group: Group, width: int) -> tuple[Table, list[str]] | None:
    """The table of means over seeds, the best first, as :func:`table`; None where no two runs differ in it alone."""
    settings = group.settings()
    if not settings:
        return None
    keys = group.besides(SEED)
    labels = [setting.runs[0].label(keys) if keys else "all" for setting in settings]
    values = zip(*(setting.values for setting in settings), strict=True)
    names = [Column(key, _parts(key), tuple(map(short, texts))) for key, texts in zip(keys, values, strict=True)]
    numbers = _numbers([means(setting, group.score) for setting in settings], group)
    return _table("mean ± standard deviation (n - 1) over seeds", names, labels, numbers, width)


def _numbers(rows: Sequence[dict[str, str]], group: Group) -> list[Column]:
    return [Column(name, _header(name, group), tuple(row[name] for row in rows)) for name in rows[0]]


def _table(
    title: str, names: Sequence[Column], labels: Sequence[str], numbers: Sequence[Column], width: int
) -> tuple[Table, list[str]]:
    """A table of the columns that have room; ``labels`` stand in one column for ``names`` that have none."""
    chosen = _fitting([*names, *numbers], width) if names else None
    if chosen is None:
        names = [Column(RUN, (RUN,), tuple(labels))]
        chosen = _fitting([*names, *numbers], width) or [*names, *(each for each in numbers if each.name == "test")]
    left_out = [" ".join(column.header) for column in numbers if column not in chosen]
    return _drawn(title, chosen, {key.name for key in names}), left_out


def _fitting(columns: Sequence[Column], width: int) -> list[Column] | None:
    """The columns that have room, or None if those that must stay have none."""
    left = list(columns)
    for name in ("", *LEFT_OUT_FIRST):
        left = [column for column in left if column.name != name]
        if sum(column.width + SPACES for column in left) + 1 <= width:
            return left
    return None


def _drawn(title: str, columns: Sequence[Column], texts: Container[str]) -> Table:
    """The table, in which those of ``texts`` stand at the left."""
    drawn = Table(title=escape(title), title_justify="left", title_style="bold")
    for column in columns:
        left = column.name in texts or column.name == "state"
        breaks = column.name == RUN
        drawn.add_column(
            "\n".join(column.header), justify="left" if left else "right", no_wrap=not breaks, overflow="fold"
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        row = zip(columns, map(escape, cells), strict=True)
        drawn.add_row(
            *(f"[{STYLES.get(cell, 'dim')}]{cell}[/]" if each.name == "state" else cell for each, cell in row)
        )
    return drawn


def _header(name: str, group: Group) -> tuple[str, ...]:
    return (name, *group.score.unit.split()) if name in ("test", "val") else (name,)


def _parts(key: str) -> tuple[str, ...]:
    """A key in lines, which end at its dots."""
    *sections, last = key.split(".")
    return (*(f"{section}." for section in sections), last)
