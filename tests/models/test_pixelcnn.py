from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.builders import dependence
from pixelcnn_lit import build
from pixelcnn_lit.models import PixelCNN


def pixelcnn(**sizes: Any) -> PixelCNN:
    """One channel of two levels, and the kernels of the article, but for what ``sizes`` say."""
    usual = {"image_channels": 1, "n_params": 2, "groups": 1, "kernel_size": 3, "first_kernel_size": 7}
    return PixelCNN(**{**usual, "n_classes": None, **sizes})


def receptive_field(kernel: int, first_kernel: int, n_res: int, height: int, width: int) -> torch.Tensor:
    """Which pixel sees which, from the offsets of the taps alone: (H, W, H, W) bool, [seeing, seen]."""
    first = [(dr, dc) for dr, dc in offsets(first_kernel) if (dr, dc) < (0, 0)]
    block = [(dr, dc) for dr, dc in offsets(kernel) if (dr, dc) <= (0, 0)]
    sees = torch.zeros(height, width, height, width, dtype=torch.bool)
    for r in range(height):
        for c in range(width):
            reached = {(r, c)}
            for taps in [*[block] * n_res, first]:
                reached = {
                    (y + dr, x + dc)
                    for y, x in reached
                    for dr, dc in taps
                    if 0 <= y + dr < height and 0 <= x + dc < width
                }
            for y, x in reached:
                sees[r, c, y, x] = True
    return sees


def offsets(kernel: int) -> list[tuple[int, int]]:
    reach = kernel // 2
    return [(dr, dc) for dr in range(-reach, reach + 1) for dc in range(-reach, reach + 1)]


@given(
    n_res=st.integers(0, 3),
    hidden=st.integers(1, 4),
    kernel=st.sampled_from([1, 3, 5]),
    first_kernel=st.sampled_from([3, 5, 7]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_an_output_depends_on_exactly_the_earlier_pixels_in_reach(
    n_res, hidden, kernel, first_kernel, height, width, seed
):
    torch.manual_seed(seed)
    network = pixelcnn(n_res=n_res, hidden=hidden, kernel_size=kernel, first_kernel_size=first_kernel)
    allowed = receptive_field(kernel, first_kernel, n_res, height, width)
    seen = dependence(network, height, width)[0, :, :, 0] > 0
    assert not (seen & ~allowed).any()
    # With positive weights no ReLU hides a path, and everything that is allowed is seen.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    assert torch.equal(dependence(network, height, width)[0, :, :, 0] > 0, allowed)


@given(n_res=st.integers(0, 2), size=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 1000))
def test_a_channel_depends_on_earlier_pixels_and_earlier_channels_only(n_res, size, seed):
    torch.manual_seed(seed)
    height, width = size
    network = pixelcnn(image_channels=3, n_params=6, groups=3, n_res=n_res, hidden=6)
    seen = dependence(network, height, width, 3).permute(1, 2, 0, 4, 5, 3).reshape(height * width * 3, -1) > 0
    assert not seen.triu().any()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    pixel = dependence(network, height, width, 3)[:, 0, 0, :, 0, 0] > 0
    assert torch.equal(pixel, torch.ones(3, 3, dtype=torch.bool).tril(-1))


def test_the_blind_spot_is_where_it_is_known_to_be():
    """With 3x3 kernels, what lies to the right beyond the diagonal is never seen (arXiv 1606.05328, figure 1)."""
    sees = receptive_field(3, 3, 3, 9, 9)[6, 4]
    assert sees[5, 5]
    assert sees[4, 6]
    assert not sees[5, 6]
    assert not sees[4, 7]


def test_the_articles_network_has_the_parameters_that_its_layers_need():
    h, levels = 64, 256
    block = (2 * h * h + h) + (5 * h * h + h) + (h * 2 * h + 2 * h)
    head = (2 * h * 2 * h + 2 * h) + (2 * h * levels + levels)
    expected = (24 * 2 * h + 2 * h) + 15 * block + head
    assert sum(p.numel() for p in build([]).network.parameters()) == expected
