"""A figure of maps: for each image, the bits and the entropy of each of its pixels."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from pixelcnn_lit.pictures import HEAT, Pixels

INCHES = 1.7
COLOURS = LinearSegmentedColormap.from_list("heat", [tuple(part / 255 for part in colour) for colour in HEAT])


def draw(images: Pixels, bits: Tensor, entropy: Tensor, names: Sequence[str]) -> Figure:
    """Draw a row for each image: RGB (N, H, W, 3), its bits and its entropies (N, H, W), and its name.

    All maps have one scale, which begins at 0 bits.
    """
    _, height, width, _ = images.shape
    figure = Figure(figsize=(3 * INCHES + 1.6, INCHES * height / width * len(images) + 0.6), layout="constrained")
    grid = figure.subplots(len(images), 3, squeeze=False)
    scale = Normalize(0, max(float(bits.max()), float(entropy.max())))
    for row, name in enumerate(names):
        grid[row][0].imshow(images[row], interpolation="nearest")
        grid[row][0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
        for axes, part in ((grid[row][1], bits), (grid[row][2], entropy)):
            axes.imshow(part[row].numpy(), cmap=COLOURS, norm=scale, interpolation="nearest")
        for axes in grid[row]:
            _bare(axes)
    for axes, title in zip(grid[0], ("image", "bits", "entropy"), strict=True):
        axes.set_title(title, fontsize=10)
    figure.colorbar(ScalarMappable(scale, COLOURS), ax=grid, label="bits a pixel", fraction=0.05, shrink=0.9)
    return figure


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
