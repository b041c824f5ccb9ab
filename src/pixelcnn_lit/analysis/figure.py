"""A figure of receptive fields, one panel per network."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn_lit.analysis.influence import blind_spot, earlier, summary

SEEN = colormaps["viridis_r"]
BLIND, LATER, BEYOND, CENTRE = "#e8553a", "#d5d8dc", "#ffffff", "#111111"
FAINTEST = 1e-12  # relative to the strongest influence; weaker ones have the same colour
BELOW = 3  # rows below the centre that are shown; all of them look the same


def draw(panels: Mapping[str, Tensor]) -> Figure:
    """Draw receptive fields (H, W), as ``influence`` returns them, by their titles."""
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    height, width = next(iter(panels.values())).shape
    panel = 4.6
    shown = min(height, height // 2 + 1 + BELOW)
    figure = Figure(figsize=(panel * columns + 1.2, (panel * shown / width + 0.9) * rows + 0.7), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    faintest = min(float(relative(seen)[relative(seen) > 0].min(initial=0.1)) for seen in panels.values())
    norm = LogNorm(10.0 ** math.floor(math.log10(max(faintest, FAINTEST))), 1, clip=True)
    for axes, (title, seen) in zip(grid.flat, panels.items(), strict=False):
        _panel(axes, title, seen, norm)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    bar = figure.colorbar(ScalarMappable(norm, SEEN), ax=grid, pad=0.02, shrink=0.9)
    bar.set_label("influence on the centre, relative to the strongest")
    kinds = {"the centre": CENTRE, "blind spot: in reach, not seen": BLIND, "later: must not be seen": LATER}
    kinds["earlier, beyond reach"] = BEYOND
    handles = [Patch(facecolor=colour, edgecolor="#888888", label=label) for label, colour in kinds.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, 2 * columns), frameon=False)
    return figure


def relative(seen: Tensor) -> NDArray[np.float64]:
    """A receptive field (H, W) divided by its largest value; zeros if all values are 0."""
    strength = seen.double().numpy()
    return strength / (strength.max() or 1)


def _panel(axes: Axes, title: str, seen: Tensor, norm: LogNorm) -> None:
    height, width = seen.shape
    row, column = height // 2, width // 2
    strength = relative(seen)
    visible = strength > 0
    colours = np.empty((height, width, 3))
    colours[:] = to_rgb(LATER)
    colours[earlier(seen).numpy()] = to_rgb(BEYOND)
    colours[blind_spot(seen).numpy()] = to_rgb(BLIND)
    colours[visible] = SEEN(norm(strength[visible]))[:, :3]
    colours[row, column] = to_rgb(CENTRE)
    edges = (-column - 0.5, width - column - 0.5, height - row - 0.5, -row - 0.5)
    axes.imshow(colours, extent=edges, interpolation="nearest")
    if visible[row, column]:  # a later channel sees the earlier ones of its own pixel
        inner = SEEN(norm(strength[row, column]))
        axes.add_patch(Rectangle((-0.3, -0.3), 0.6, 0.6, facecolor=inner))
    axes.set_ylim(min(height - row, BELOW + 1) - 0.5, -row - 0.5)
    axes.set_title(f"{title}\n{summary(seen)}", fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("columns from the centre")
    axes.set_ylabel("rows from the centre")
