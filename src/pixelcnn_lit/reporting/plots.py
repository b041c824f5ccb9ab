"""The plots of a report, as SVG inside the page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pixelcnn_lit.reporting.collect import Run

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
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pixelcnn_lit",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "axes.edgecolor": "#9ca3af",
    "xtick.color": "#374151",
    "ytick.color": "#374151",
}
MOST = 12
"""The largest number of lines with a legend."""


def over_key(key: str, others: Sequence[str], found: Sequence[Run]) -> str | None:
    """Plot test bits per dimension over a swept key, as SVG. A line joins the runs that differ only in this key.

    ``others`` are the other swept keys. Returns None if there are fewer than two values.
    """
    scored = [run for run in found if run.test is not None]
    texts = list(dict.fromkeys(run.value(key) for run in scored))
    if len(texts) < 2:
        return None
    places = _places(texts)
    numeric = all(_number(text) is not None for text in texts)
    ordered = sorted(texts, key=places.__getitem__)
    groups: dict[str, list[Run]] = {}
    for run in scored:
        groups.setdefault(", ".join(f"{other.split('.')[-1]} {run.value(other)}" for other in others), []).append(run)
    if len(groups) > MOST:  # of a search: no two runs differ in one key alone
        groups = {run.folder.name: [run] for run in scored}
    with rc_context(STYLE):
        figure, axes = new_axes()
        for number, (label, members) in enumerate(groups.items()):
            members = sorted(members, key=lambda run: places[run.value(key)])
            x = [places[run.value(key)] for run in members]
            colour = COLOURS[number % len(COLOURS) if len(groups) <= MOST else 0]
            bits = [run.test or 0.0 for run in members]
            axes.plot(x, bits, "o-", color=colour, label=label, markersize=6, linewidth=1.6)
        if not numeric:
            axes.set_xticks(range(len(ordered)), ordered)
        else:
            if max(places.values()) > 30 * min(places.values()) > 0:
                axes.set_xscale("log")
            if len(ordered) <= 8 and max(map(len, ordered)) <= 6:
                axes.set_xticks([places[text] for text in ordered], ordered)
                axes.minorticks_off()
        axes.set_xlabel(key)
        axes.set_ylabel("test bits/dim")
        return _svg(figure, axes, legend=1 < len(groups) <= MOST)


def curves(keys: Sequence[str], found: Sequence[Run]) -> str | None:
    """Plot validation bits per dimension over epochs, one line per run, as SVG. None if there are no validations."""
    drawn = [run for run in found if run.curve]
    if not drawn:
        return None
    with rc_context(STYLE):
        figure, axes = new_axes()
        for number, run in enumerate(drawn):
            label = ", ".join(f"{key.split('.')[-1]} {run.value(key)}" for key in keys) or run.folder.name
            epochs, bits = zip(*run.curve, strict=True)
            style = "-" if run.status.state == "finished" else "--"
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(epochs, bits, style, color=colour, label=label, linewidth=1.6)
            axes.plot(epochs[-1:], bits[-1:], "o", color=colour, markersize=4)
        keep_visible(axes, [[bits for _, bits in run.curve] for run in drawn])
        if max(run.curve[-1][0] for run in drawn) >= 2:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epochs")
        axes.set_ylabel("validation bits/dim")
        return _svg(figure, axes, legend=len(drawn) <= MOST)


def keep_visible(axes: Axes, curves: Sequence[Sequence[float]]) -> None:
    """Cut off a bad start, which would make all curves flat; the best value of every curve stays visible."""
    everything = [value for curve in curves for value in curve]
    low, middle, high = min(everything), median(everything), max(everything)
    worst = max(min(curve) for curve in curves)
    top = max(low + 4 * (middle - low), worst + 0.1 * (worst - low))
    if high > top > low:
        axes.set_ylim(low - 0.05 * (top - low), top)


def _places(texts: Sequence[str]) -> dict[str, float]:
    """The positions of values on an axis: the numbers themselves, or 0, 1, 2, ... if some are not numbers."""
    numbers = [_number(text) for text in texts]
    return {
        text: float(index) if number is None or None in numbers else number
        for index, (text, number) in enumerate(zip(texts, numbers, strict=True))
    }


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def new_axes() -> tuple[Figure, Axes]:
    """An empty plot."""
    figure = Figure(figsize=(6.4, 3.9), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, axes: Axes, *, legend: bool) -> str:
    if legend:
        axes.legend(frameon=False, fontsize=9)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return re.sub(r' (width|height)="[^"]*pt"', "", text[text.index("<svg") :], count=2)  # the page sets its size
