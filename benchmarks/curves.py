"""Curves of kept runs: their validations over seconds of training, as an SVG file for a page."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context

from benchmarks.kept import Kept
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting.plots import keep_visible
from pixelcnn_lit.reporting.svg import COLOURS, STYLE, new_axes

CLOCKS = {"processor_seconds": "processor seconds of training", "seconds": "seconds of training"}
"""The columns of validation.csv that can be the axis of time, and what it is called."""


@dataclass(frozen=True)
class Curves:
    """The curves of runs by their names, as points (time, score), and what the axes are called."""

    clock: str
    unit: str
    points: dict[str, list[tuple[float, float]]]

    @property
    def digest(self) -> str:
        """The last line of their picture, by which that of other curves is told."""
        content = json.dumps([self.clock, self.unit, self.points])
        return f"<!-- of curves {hashlib.sha256(content.encode()).hexdigest()} -->"


def of_runs(runs: Sequence[Kept]) -> Curves:
    """The curves of those runs that have one, over the first of the clocks by which all were timed.

    Raises UserError if no clock timed all.
    """
    validated = [run for run in runs if run.curve]
    clock = next((name for name in CLOCKS if all(name in row for run in validated for row in run.curve)), None)
    if clock is None:
        raise UserError(f"{', '.join(run.name for run in validated)}: not all validations have seconds")
    points = {run.name: [(row[clock], row[run.score.name]) for row in run.curve] for run in validated}
    return Curves(CLOCKS[clock], validated[0].score.unit, points)


def draw(curves: Curves) -> str:
    """A line for each run, with its name, as the text of an SVG file."""
    with rc_context(STYLE):
        figure, axes = new_axes()
        for number, (name, points) in enumerate(curves.points.items()):
            colour = COLOURS[number % len(COLOURS)]
            seconds, scores = zip(*points, strict=True)
            axes.plot(seconds, scores, "o-", color=colour, label=name, markersize=3, linewidth=1.6)
        keep_visible(axes, [[score for _, score in points] for points in curves.points.values()])
        axes.set_xlabel(curves.clock)
        axes.set_ylabel(f"validation {curves.unit}")
        axes.legend(frameon=False, fontsize=9)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="white")
    return "\n".join([*(line.rstrip() for line in buffer.getvalue().splitlines()), curves.digest, ""])


def shows(path: Path, curves: Curves) -> bool:
    """Whether the picture in a file is that of these curves."""
    return path.exists() and path.read_text().splitlines()[-1:] == [curves.digest]
