"""The command ``report``: compares the runs below a folder in tables and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import get_console
from rich.markup import escape

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting.collect import Run, runs_below, swept_keys
from pixelcnn_lit.reporting.compare import Group, groups
from pixelcnn_lit.reporting.page import page
from pixelcnn_lit.reporting.tables import table, table_of_means
from pixelcnn_lit.storage.files import shown, write_whole

PAGE = "report.html"


def report(folder: Path) -> None:
    """Show the tables and write the page. Raise UserError if the folder contains no run."""
    if not folder.is_dir():
        what = "a file, where the folder of a sweep or of runs is expected" if folder.exists() else "no such folder"
        hint = f"; the folder stands alone: {str(folder).partition('=')[2]}" if "=" in folder.parts[0] else ""
        raise UserError(f"{folder}: {what}{hint}")
    found = runs_below(folder)
    if not found:
        raise UserError(f"{folder}: no run in it; train with name=... or -m, and name that folder")
    console, compared = get_console(), groups(found)
    console.print(f"[bold]{escape(shown(folder.absolute()))}[/]", highlight=False)
    try:
        _print_tables(found, compared)
    finally:  # a reader such as head may cut the tables short
        with write_whole(folder / PAGE) as file:
            file.write(page(folder, found, compared).encode())
    console.print(f"the page: {shown((folder / PAGE).absolute())}", markup=False, highlight=False, soft_wrap=True)


def _print_tables(found: Sequence[Run], compared: Sequence[Group]) -> None:
    """Print the tables of each group, the columns that have no room in them, and why runs failed."""
    console, lacking = get_console(), dict[str, None]()
    for group in compared:
        for made in (table(group, console.width), table_of_means(group, console.width)):
            if made is not None:
                drawn, left_out = made
                console.print(drawn)
                lacking |= dict.fromkeys(left_out)
    if lacking:
        told = f"not in every table, of {console.width} columns: {', '.join(lacking)}; the page has all"
        console.print(told, highlight=False, soft_wrap=True)
    keys = swept_keys(found)
    for run in found:
        if run.status.reason:
            console.print(f"{run.label(keys)}: {run.status.reason}", markup=False, highlight=False, soft_wrap=True)
