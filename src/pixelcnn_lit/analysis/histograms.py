"""A figure of scores: for each, the histograms of a model's own images and of others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

OWN, OTHER = "#4c78a8", "#f58518"
BINS = 50
SHOWN = (0.005, 0.995)
"""The quantiles of all scores between which the bins lie; a score beyond is counted in the first or the last bin."""


def draw(panels: Sequence[tuple[str, str, Tensor, Tensor]], own: str, other: str) -> Figure:
    """Draw one panel for each (title, unit, scores of own images, scores of others)."""
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.4 * columns, 3.1 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, unit, own_scores, other_scores) in zip(grid.flat, panels, strict=False):
        _panel(axes, title, unit, own_scores, other_scores)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    handles, _ = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, [own, other], loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(axes: Axes, title: str, unit: str, own: Tensor, other: Tensor) -> None:
    low, high = torch.cat([own, other]).quantile(torch.tensor(SHOWN, dtype=own.dtype)).tolist()
    bins = np.linspace(low, high if high > low else low + 1, BINS + 1).tolist()
    for scores, colour in ((own, OWN), (other, OTHER)):
        share = np.full(len(scores), 1 / len(scores))
        axes.hist(np.clip(scores.numpy(), low, high), bins, weights=share, color=colour, alpha=0.6, label=colour)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(f"{unit} (strange images to the right)", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(4))  # more would run into each other where numbers have six digits
    axes.set_ylabel("share of images", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def draw_place(scores: Tensor, place: float, label: str, what: str) -> Figure:
    """Draw the histogram of ``scores`` (N,), of images that ``what`` names, and a line at ``place`` with its label."""
    figure = Figure(figsize=(5.4, 2.9), layout="constrained")
    axes = figure.subplots()
    low, high = min(float(scores.min()), place), max(float(scores.max()), place)
    bins = np.linspace(low, high if high > low else low + 1, BINS + 1).tolist()
    axes.hist(scores.numpy(), bins, weights=np.full(len(scores), 1 / len(scores)), color=OWN, alpha=0.6, label=what)
    axes.axvline(place, color=OTHER, linewidth=2, label=label)
    axes.set_xlabel("bits/dim (strange images to the right)", fontsize=9)
    axes.set_ylabel("share of images", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    return figure
