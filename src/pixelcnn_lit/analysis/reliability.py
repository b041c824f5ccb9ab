"""A figure of how sure a classifier is and how right, on images and on noisy ones."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pixelcnn_lit.analysis.calibration import Calibration

FEW = 20
"""Bins of fewer images are left out of the curves: their accuracy says little."""


def draw(shares: Sequence[float], found: Sequence[Calibration]) -> Figure:
    """Draw the accuracy of each bin over its confidence, a curve a share of random pixels, and both over the share."""
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _curves(left, shares, found)
    _over_noise(right, shares, found)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _curves(axes: Axes, shares: Sequence[float], found: Sequence[Calibration]) -> None:
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="calibrated")
    for number, (share, one) in enumerate(zip(shares, found, strict=True)):
        bins = [each for each in one.bins if each.images >= FEW]
        colour = colormaps["viridis"](0.9 * number / max(1, len(shares) - 1))
        sure, right = [each.confidence for each in bins], [each.accuracy for each in bins]
        axes.plot(sure, right, color=colour, marker="o", markersize=3, label=f"{share:.0%} random pixels")
    axes.set_xlabel("mean confidence in a bin", fontsize=9)
    axes.set_ylabel("accuracy in the bin", fontsize=9)
    axes.legend(frameon=False, fontsize=8)


def _over_noise(axes: Axes, shares: Sequence[float], found: Sequence[Calibration]) -> None:
    for name, values in (
        ("accuracy", [one.accuracy for one in found]),
        ("mean confidence", [one.confidence for one in found]),
        ("calibration error", [one.error for one in found]),
    ):
        axes.plot(shares, values, marker="o", markersize=3, label=name)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("share of random pixels", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
