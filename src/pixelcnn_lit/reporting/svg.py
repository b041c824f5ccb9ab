"""Matplotlib's figures as SVG inside a page, which colours them, and finds in them what belongs to a run."""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = [
    "#4c78a8",
    "#f58518",
    "#54a24b",
    "#e45756",
    "#72b7b2",
    "#b279a2",
    "#eeca3b",
    "#9d755d",
    "#ff9da6",
    "#79706e",
]
INK, EDGE, GRID = "#374151", "#9ca3af", "#e5e7eb"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pixelcnn_lit",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "axes.edgecolor": EDGE,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
IN_A_PAGE = {
    **{colour: f"var(--c{number}, {colour})" for number, colour in enumerate(COLOURS)},
    **{INK: f"var(--ink, {INK})", EDGE: f"var(--edge, {EDGE})", GRID: f"var(--line, {GRID})"},
}
"""The colours as variables, so that a page can be dark or light."""
RUN = "run-"
WIDTH = 6.4


def new_axes(height: float = 3.9, width: float = WIDTH) -> tuple[Figure, Axes]:
    """An empty plot, of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def of_run(artist: Any, number: int) -> None:
    """Let a page find what is drawn of the run of a number: ``<g class="run" data-run="3">``."""
    artist.set_gid(f"{RUN}{number}")


def as_text(figure: Figure, title: str) -> str:
    """The figure as an element of a page: without a size of its own, with a title for those who cannot see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    text = re.sub(rf' id="{RUN}(\d+)"', r' class="run" data-run="\1"', text)
    asked_for = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in asked_for else "", text)
    text = re.sub("|".join(IN_A_PAGE), lambda found: IN_A_PAGE[found[0]], text)
    return text.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
