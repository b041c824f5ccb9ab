from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.analysis.figure import BEYOND, BLIND, CENTRE, LATER, SEEN, draw, to_rgb


def a_field(height: int = 7, width: int = 7) -> torch.Tensor:
    """One row up and one column to either side, but for the one to the upper right."""
    seen = torch.zeros(height, width)
    row, column = height // 2, width // 2
    seen[row - 1, column - 1 : column + 1] = torch.tensor([1.0, 1e-20])
    seen[row, column - 1] = 0.25
    return seen


@pytest.mark.parametrize("panels", [1, 2, 5])
def test_each_network_has_a_panel_of_its_name(panels, tmp_path):
    figure = draw({f"network {i}": a_field() for i in range(panels)})
    titled = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titled == [f"network {i}\nsees 3 pixels, misses 1 in reach" for i in range(panels)]
    figure.savefig(tmp_path / "figure.png", dpi=40)


def test_the_centre_the_blind_spot_and_what_is_later_have_their_colours():
    figure = draw({"network": a_field()})
    (image,) = figure.axes[0].get_images()
    colours = image.get_array()
    assert tuple(colours[3, 3]) == to_rgb(CENTRE)
    assert tuple(colours[2, 4]) == to_rgb(BLIND)
    assert tuple(colours[3, 4]) == tuple(colours[4, 0]) == to_rgb(LATER)
    assert tuple(colours[0, 0]) == tuple(colours[2, 5]) == to_rgb(BEYOND)
    assert tuple(colours[2, 2]) == SEEN(1.0)[:3]
    assert tuple(colours[2, 3]) == SEEN(0.0)[:3]


def test_what_sees_nothing_is_drawn_too(tmp_path):
    draw({"blind": torch.zeros(1, 1)}).savefig(tmp_path / "figure.png", dpi=40)
