"""What a benchmark leaves: tables for a person, a JSON file for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pixelcnn_lit.storage.files import write_whole


def console() -> Console:
    """Where results are shown: as wide as the terminal, and elsewhere as wide as the tables are."""
    return Console(width=None if sys.stdout.isatty() else 140)


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Columns with a heading hold numbers and stand to the right, those without hold names."""
    shown = Table(title=title, title_justify="left")
    for heading in headings:
        shown.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    return shown


def save(path: str, result: dict[str, Any]) -> None:
    """Write the result as JSON."""
    with write_whole(path) as file:
        file.write(json.dumps(result, indent=2).encode() + b"\n")
