"""The command ``report``: compares the runs below a folder in a table and a page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from rich import get_console
from rich.markup import escape
from rich.table import Table

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting import plots
from pixelcnn_lit.reporting.collect import Run, runs_below, swept_keys
from pixelcnn_lit.storage.files import shown, write_whole

PAGE = "report.html"
COLUMNS = ("test bits/dim", "val bits/dim", "parameters", "epochs", "images/s", "state")
STYLES = {"finished": "green", "failed": "red", "pruned": "yellow", "running": "cyan"}


def report(folder: Path) -> None:
    """Show the table and write the page. Raise UserError if the folder contains no run."""
    if not folder.is_dir():
        what = "a file, where the folder of a sweep or of runs is expected" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {what}")
    found = runs_below(folder)
    if not found:
        raise UserError(f"{folder}: no run in it; train with name=... or -m, and name that folder")
    console = get_console()
    console.print(table(folder, found))
    for run in found:
        if run.status.reason:
            console.print(f"{run.folder.name}: {run.status.reason}", markup=False, highlight=False, soft_wrap=True)
    with write_whole(folder / PAGE) as file:
        file.write(page(folder, found).encode())
    console.print(f"the page: {shown((folder / PAGE).absolute())}", markup=False, highlight=False, soft_wrap=True)


def cells(run: Run) -> list[str]:
    """The texts of a run for the :data:`COLUMNS`."""
    metrics = run.status.metrics or {}

    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return [
        number(run.test, ".4f"),
        number(run.val, ".4f"),
        number(metrics.get("params"), ",d"),
        number(run.epochs, ".4g"),
        number(metrics.get("images_per_second"), ",.0f"),
        run.status.state,
    ]


def table(folder: Path, found: Sequence[Run]) -> Table:
    """The table of runs, the best first: swept keys and results."""
    keys = swept_keys(found)
    result = Table(title=escape(shown(folder.absolute())), title_justify="left", title_style="bold")
    for key in keys or ["run"]:
        result.add_column(key.replace(".", ".\n"), overflow="fold")
    for column in COLUMNS:
        result.add_column(column.replace(" ", "\n"), justify="left" if column == "state" else "right", no_wrap=True)
    for run in found:
        *numbers, state = (escape(cell) for cell in cells(run))
        style = STYLES.get(run.status.state, "dim")
        names = [escape(run.value(key)) for key in keys] or [escape(run.folder.name)]
        result.add_row(*names, *numbers, f"[{style}]{state}[/{style}]")
    return result


def page(folder: Path, found: Sequence[Run]) -> str:
    """The page as HTML, which needs no other files."""
    keys = swept_keys(found)
    drawn = [(key, plots.over_key(key, [other for other in keys if other != key], found)) for key in keys]
    curves = plots.curves(keys, found)
    environment = Environment(loader=PackageLoader("pixelcnn_lit.reporting", "."), autoescape=True, trim_blocks=True)
    return environment.get_template("report.html.jinja").render(
        title=shown(folder.absolute()),
        written=datetime.now().strftime("%Y-%m-%d %H:%M"),
        keys=keys,
        columns=COLUMNS,
        rows=[(run, [run.value(key) for key in keys] or [run.folder.name], cells(run)) for run in found],
        counts=_counts(found),
        plots=[(key, Markup(svg)) for key, svg in drawn if svg],  # safe: our own SVG, in which matplotlib escapes texts
        curves=Markup(curves) if curves else None,
        pictures=[
            (run, " ".join(f"{key}={run.value(key)}" for key in keys) or run.folder.name, _embedded(run.folder / name))
            for run in found
            if (run.folder / (name := "samples.png")).is_file()
        ],
        levels=len({run.value("data.levels") for run in found}) > 1,
    )


def _counts(found: Sequence[Run]) -> str:
    states = [run.status.state for run in found]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
