"""The plots of a group of runs that compare, as SVG inside the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean, median, stdev

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from pixelcnn_lit.reporting.collect import Run, last_words
from pixelcnn_lit.reporting.compare import SEED, Group, by, natural, number_in
from pixelcnn_lit.reporting.svg import COLOURS, EDGE, INK, STYLE, WIDTH, as_text, new_axes, of_run
from pixelcnn_lit.sweeps.jobs import short

MOST = 10
"""The largest number of lines with a colour and a legend."""
FEW = 8
"""So many values of a key are written at its axis, and no others."""
APART = 0.08
"""No place is written that is nearer than this to the end of an axis of length 1."""
FAR = 8
"""A score so many times as far from the best as the median is leaves the plot."""
DECADES = 30
"""A key whose largest value is so many times its smallest one has a logarithmic axis, where no search says."""


@dataclass(frozen=True)
class Axis:
    """Where the values of a key are on an axis: numbers at their places, other texts at 0, 1, 2, ..."""

    places: Mapping[str, float]
    log: bool

    @classmethod
    def of(cls, values: Sequence[str], log: bool | None) -> Axis:
        """The axis of the values of a key; ``log`` is whether it is logarithmic, None where the values decide."""
        numbers = [number_in(text) for text in values]
        if any(number is None for number in numbers):
            return cls({text: float(place) for place, text in enumerate(sorted(set(values), key=natural))}, False)
        places = {text: float(number or 0) for text, number in zip(values, numbers, strict=True)}
        low, high = min(places.values()), max(places.values())
        return cls(places, low > 0 and (high > DECADES * low if log is None else log))

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(number_in(text) is not None for text in self.places)

    def ticks(self) -> tuple[list[float], list[str]]:
        """Places and texts of the values, if they are few; else of some between the least and the greatest."""
        if len(self.places) <= FEW:
            return list(self.places.values()), [short(text) for text in self.places]
        low, high = min(self.places.values()), max(self.places.values())
        locator = LogLocator() if self.log else MaxNLocator(4)
        between = [place for place in locator.tick_values(low, high) if low < place < high]
        chosen = [low, *(place for place in between if APART < self.share(place) < 1 - APART), high]
        return chosen, [f"{place:.3g}" for place in chosen]

    def share(self, place: float) -> float:
        """A place between the least value, 0, and the greatest, 1."""
        low, high, place = (
            math.log(value) if self.log else value
            for value in (min(self.places.values()), max(self.places.values()), place)
        )
        return (place - low) / (high - low) if high > low else 0.5

    def set(self, axes: Axes) -> None:
        """Make it the horizontal axis of a plot."""
        if self.log:
            axes.set_xscale("log")
        places, texts = self.ticks()
        if len(self.places) <= FEW and sum(map(len, texts)) <= 60:
            axes.set_xticks(places, texts)
            axes.minorticks_off()


def over_key(key: str, group: Group, scales: Mapping[str, bool]) -> str | None:
    """Plot the test scores of a group over a key in which its runs differ. None for fewer than two values.

    A line joins the runs that differ in this key alone, through the means over their seeds. Where no two runs of a
    search differ in one key alone, there are points. ``scales`` says of keys of a search whether they have a
    logarithmic scale.
    """
    scored = group.scored
    values = list(dict.fromkeys(run.value(key) for run in scored))
    if len(values) < 2 or key == SEED:
        return None
    axis, others = Axis.of(values, scales.get(key)), group.besides(key, SEED)
    lines = _lines(scored, others)
    joined = len(lines) <= MOST and not group.is_search
    scores = [run.test or 0.0 for run in scored]
    top = max(scores) if joined else visible_top(scores)
    with rc_context(STYLE):
        figure, axes = new_axes()
        for number, (label, members) in enumerate(lines.items()):
            colour = COLOURS[number] if joined else COLOURS[0]
            if joined:
                _join(axes, by(members, lambda run: axis.places[run.value(key)]), colour, label)
            for run in members:
                place, score = axis.places[run.value(key)], run.test or 0.0
                marker = "o" if score <= top else "^"
                (point,) = axes.plot(place, min(score, top), marker, color=colour, markersize=4 if joined else 6)
                point.set_alpha(0.7)
                of_run(point, run.number)
        axis.set(axes)
        axes.set_xlabel(key)
        axes.set_ylabel(f"test {group.score.unit}")
        if top < max(scores):
            axes.set_title(f"▲ beyond {top:{group.score.form}}", loc="right", fontsize=9)
        if joined and len(lines) > 1:
            _legend(figure, axes)
        return as_text(figure, escape(f"test {group.score.unit} over {key}: {group.label}"))


def _lines(runs: Sequence[Run], keys: Sequence[str]) -> dict[str, list[Run]]:
    """The runs by their values of some keys, in the natural order of these, so that all plots have the same colours."""
    lines = by(runs, lambda run: run.label(keys) if keys else "")
    return {label: lines[label] for label in sorted(lines, key=natural)}


def _join(axes: Axes, runs: Mapping[float, Sequence[Run]], colour: str, label: str) -> None:
    """A line through the means at each place, with their standard deviations."""
    places = sorted(runs)
    scores = [[run.test or 0.0 for run in runs[place]] for place in places]
    axes.plot(places, [fmean(at) for at in scores], "-", color=colour, label=label, linewidth=1.6)
    spread = [(place, fmean(at), stdev(at)) for place, at in zip(places, scores, strict=True) if len(at) > 1]
    if spread:
        x, means, deviations = zip(*spread, strict=True)
        axes.errorbar(x, means, deviations, fmt="none", ecolor=colour, capsize=4, elinewidth=1.2)


def curves(group: Group) -> str | None:
    """Plot the validations of a group over epochs, a line a run. None if no run has two.

    Runs that differ in their seed alone have one colour.
    """
    drawn = [run for run in group.runs if run.curve]
    if not any(len(run.curve) > 1 for run in drawn):
        return None
    keys = group.besides(SEED)
    lines = _lines(drawn, keys)
    coloured = len(lines) <= MOST
    with rc_context(STYLE):
        figure, axes = new_axes()
        for number, (label, members) in enumerate(lines.items()):
            for run in members:
                colour = COLOURS[number] if coloured else COLOURS[0] if run is group.best else EDGE
                _curve(axes, run, colour, label if run is members[0] else "")
        keep_visible(axes, [[score for _, score in run.curve] for run in drawn])
        if max(run.curve[-1][0] for run in drawn) >= 2:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epochs")
        axes.set_ylabel(f"validation {group.score.unit}")
        if coloured and len(lines) > 1:
            _legend(figure, axes)
        return as_text(figure, escape(f"validation {group.score.unit} over epochs: {group.label}"))


def _curve(axes: Axes, run: Run, colour: str, label: str) -> None:
    epochs, scores = zip(*run.curve, strict=True)
    style = "-" if run.status.state == "finished" else "--"
    (line,) = axes.plot(epochs, scores, style, color=colour, label=label or None, linewidth=1.5)
    of_run(line, run.number)
    (end,) = axes.plot(epochs[-1:], scores[-1:], "o", color=colour, markersize=4)
    of_run(end, run.number)


def parallel(group: Group, scales: Mapping[str, bool]) -> str | None:
    """The finished runs of a search in parallel coordinates: an axis a key, the last one that of what is minimised.

    The better a run, the stronger its line. None for fewer than two keys or three runs. ``scales`` is that of
    :func:`over_key`.
    """
    drawn = sorted((run for run in group.runs if run.metrics and run.val is not None), key=lambda run: run.val or 0.0)
    keys = [key for key in group.keys if len({run.value(key) for run in drawn}) > 1]
    if len(keys) < 2 or len(drawn) < 3:
        return None
    axes_of_keys = [Axis.of(list(dict.fromkeys(run.value(key) for run in drawn)), scales.get(key)) for key in keys]
    scores = [run.val or 0.0 for run in drawn]
    top = visible_top(scores)
    with rc_context(STYLE):
        figure, axes = new_axes(width=2 * WIDTH)
        for place, run in reversed(list(enumerate(drawn))):
            heights = [axis.share(axis.places[run.value(key)]) for axis, key in zip(axes_of_keys, keys, strict=True)]
            last = min(1.0, (scores[place] - scores[0]) / (top - scores[0] or 1.0))
            (line,) = axes.plot([*heights, last], color=COLOURS[0], linewidth=1.2 + 1.4 * (place == 0))
            line.set_alpha(max(0.15, 1 - place / len(drawn)))
            of_run(line, run.number)
        for at, axis in enumerate(axes_of_keys):
            places, texts = axis.ticks()
            _upright(axes, at, [axis.share(place) for place in places], texts)
        rises = (0, 0.25, 0.5, 0.75, 1)
        texts = [f"{scores[0] + rise * (top - scores[0]):{group.score.form}}" for rise in rises]
        _upright(axes, len(keys), rises, [*texts[:-1], ("≥ " if top < scores[-1] else "") + texts[-1]])
        _name(axes, [*last_words(keys).values(), f"validation\n{group.score.unit}"])
        return as_text(figure, escape(f"parallel coordinates of {', '.join(keys)}: {group.label}"))


def _upright(axes: Axes, at: int, heights: Sequence[float], texts: Sequence[str]) -> None:
    axes.plot([at, at], [0, 1], color=EDGE, linewidth=1, zorder=0)
    for height, text in zip(heights, texts, strict=True):
        axes.plot(at, height, "_", color=INK, markersize=6, zorder=3)
        axes.annotate(text, (at, height), (6, 0), textcoords="offset points", va="center", fontsize=9, zorder=4)


def _name(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.1, len(names) - 0.65)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def importance(shares: Mapping[str, float], group: Group) -> str:
    """Plot how much of the differences between the runs of a search each key explains: bars, the largest first."""
    keys = sorted(shares, key=shares.__getitem__)
    with rc_context(STYLE):
        figure, axes = new_axes(0.9 + 0.38 * len(keys))
        bars = axes.barh(keys, [shares[key] for key in keys], color=COLOURS[0], height=0.6)
        axes.bar_label(bars, [f"{shares[key]:.0%}" for key in keys], padding=4, fontsize=10)
        axes.set_xlim(0, 1.12 * max(shares.values()))
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        return as_text(figure, escape(f"importance of {', '.join(reversed(keys))}: {group.label}"))


def visible_top(scores: Sequence[float]) -> float:
    """The top of an axis on which some very bad scores do not make all others look alike."""
    low, middle, high = min(scores), median(scores), max(scores)
    return low + 4 * (middle - low) if high - low > FAR * (middle - low) > 0 else high


def keep_visible(axes: Axes, curves: Sequence[Sequence[float]]) -> None:
    """Cut off a bad start, which would make all curves flat.

    The best value of every curve stays visible. Only of many curves, the bad ones are left out, and counted.
    """
    low, high = (choose(value for curve in curves for value in curve) for choose in (min, max))
    bests = [min(curve) for curve in curves]
    worst = max(bests) if len(curves) <= MOST else visible_top(bests)
    middle = median(value for curve in curves for value in curve)
    top = max(low + 4 * (middle - low), worst + 0.1 * (worst - low))
    if len(curves) > MOST:
        top = min(top, worst + 0.5 * (worst - low))
    if high > top > low:
        axes.set_ylim(low - 0.05 * (top - low), top)
    if beyond := sum(best > top for best in bests):
        axes.set_title(f"{beyond} of {len(curves)} beyond {top:.3g}", loc="right", fontsize=9)


def _legend(figure: Figure, axes: Axes) -> None:
    """A legend below the plot, of as many columns as have room, for which the figure becomes higher."""
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, min(len(labels), int(70 / (max(map(len, labels)) + 6))))
    figure.set_figheight(figure.get_figheight() + 0.2 * math.ceil(len(labels) / columns))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
