from __future__ import annotations

import numpy as np
import torch

from pixelcnn_lit.analysis import maps


def test_every_image_has_a_row_and_all_maps_one_scale():
    bits, entropy = torch.tensor([1.0, 8.0]).view(2, 1, 1).expand(2, 4, 6), torch.full((2, 4, 6), 2.0)
    figure = maps.draw(np.zeros((2, 4, 6, 3), dtype=np.uint8), bits, entropy, ["a", "b"])
    *grid, bar = figure.axes
    assert [axes.get_title() for axes in grid] == ["image", "bits", "entropy", "", "", ""]
    assert [grid[0].get_ylabel(), grid[3].get_ylabel()] == ["a", "b"]
    for axes, part in ((grid[1], bits[0]), (grid[2], entropy[0]), (grid[4], bits[1])):
        shown = axes.images[0]
        np.testing.assert_array_equal(shown.get_array(), part)
        assert shown.get_clim() == (0, 8)
    assert bar.get_ylabel() == "bits a pixel"
