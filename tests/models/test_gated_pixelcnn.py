from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.builders import all_images, dependence, tiny_density
from pixelcnn_lit import build
from pixelcnn_lit.models import GatedPixelCNN
from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.vertical import VerticalConv2d


def gated_pixelcnn(**sizes: Any) -> GatedPixelCNN:
    """One channel of two levels, and 3x3 kernels, but for what ``sizes`` say."""
    usual = {"image_channels": 1, "n_params": 2, "groups": 1, "kernel_size": 3, "first_kernel_size": 3}
    return GatedPixelCNN(**{**usual, "dilations": [1], "n_classes": None, **sizes})


def receptive_field(network: GatedPixelCNN, height: int, width: int) -> torch.Tensor:
    """[r, c, r', c']: a path leads from pixel (r', c') to the output at (r, c), by following the taps."""
    embed, blocks = network.vertical.embed, network.vertical.blocks

    def rows(seen: torch.Tensor, taps: list[tuple[int, int]]) -> torch.Tensor:
        """What a layer sees that looks at ``taps`` of a layer that sees ``seen``."""
        result = torch.zeros_like(seen)
        for down, right in taps:
            for r in range(height):
                for c in range(width):
                    if 0 <= r + down < height and 0 <= c + right < width:
                        result[r, c] |= seen[r + down, c + right]
        return result

    pixel = torch.eye(height * width, dtype=torch.bool).view(height, width, height, width)
    reach = embed.weight.shape[3] // 2
    vertical = rows(pixel, [(-d, s) for d in range(1, embed.rows_above + 1) for s in range(-reach, reach + 1)])
    horizontal = rows(pixel, [(0, -s) for s in range(1, network.embed.left + 1)])
    for v, h in zip(blocks, network.blocks, strict=True):
        d, side = v.conv.dilation, v.conv.weight.shape[3] // 2
        vertical = rows(vertical, [(-a * d, s * d) for a in range(side + 1) for s in range(-side, side + 1)])
        horizontal = rows(horizontal, [(0, -s * d) for s in range(h.conv.left + 1)]) | vertical | horizontal
    return horizontal


@given(
    kernel=st.sampled_from([1, 3, 5]),
    first_kernel=st.sampled_from([3, 5]),
    dilations=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 1000),
)
def test_an_output_depends_on_exactly_the_earlier_pixels_in_reach(kernel, first_kernel, dilations, size, seed):
    torch.manual_seed(seed)
    network = gated_pixelcnn(
        n_res=len(dilations), hidden=3, kernel_size=kernel, first_kernel_size=first_kernel, dilations=dilations
    )
    allowed = receptive_field(network, *size)
    seen = dependence(network, *size)[0, :, :, 0] > 0
    assert torch.equal(seen, allowed)
    assert not seen.view(size[0] * size[1], -1).triu().any()


def test_there_is_no_blind_spot():
    """Every earlier pixel counts, within a reach of one layer a block: PixelCNN's missing triangle too."""
    torch.manual_seed(0)
    seen = dependence(gated_pixelcnn(n_res=5, hidden=4), 9, 9)[0, 6, 4, 0] > 0
    before = torch.arange(81).view(9, 9) < 6 * 9 + 4
    assert torch.equal(seen, before)


@given(
    n_res=st.integers(0, 2),
    hidden=st.sampled_from([4, 5, 6]),
    size=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    seed=st.integers(0, 1000),
)
def test_a_channel_depends_on_earlier_pixels_and_earlier_channels_only(n_res, hidden, size, seed):
    """Where ``hidden`` is no multiple of the channels, the features part into groups of unequal size."""
    torch.manual_seed(seed)
    height, width = size
    network = gated_pixelcnn(image_channels=3, n_params=6, groups=3, n_res=n_res, hidden=hidden)
    seen = dependence(network, height, width, 3).permute(1, 2, 0, 4, 5, 3).reshape(height * width * 3, -1) > 0
    assert not seen.triu().any()
    pixel = dependence(network, height, width, 3)[:, 0, 0, :, 0, 0] > 0
    assert torch.equal(pixel, torch.ones(3, 3, dtype=torch.bool).tril(-1))


def test_features_need_not_part_evenly_into_the_channels():
    density = tiny_density(2, channels=3, n_res=2, hidden=4, size=(1, 2), network="gated_pixelcnn")
    with torch.no_grad():
        total = density.log_prob(all_images(2, (3, 1, 2))).double().exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)


def test_the_default_network_is_that_of_uva_tutorial_12():
    """https://uvadlc-notebooks.readthedocs.io, tutorial 12: 852,160 parameters with square, masked kernels."""
    network = build(["model=gated_pixelcnn"]).network
    masked = 0
    for layer in network.modules():
        if isinstance(layer, VerticalConv2d):
            stored = layer.weight.numel()
            # Of three rows the tutorial masks one, and in the first layer, which looks above only, two.
            masked += stored * (2 if layer.looks_at_image else 0.5)
        elif isinstance(layer, CausalConv2d) and not layer.pointwise:
            taps = layer.weight.shape[2]
            masked += layer.weight.numel() / taps * (3 - taps)
    assert sum(parameter.numel() for parameter in network.parameters()) + masked == 852_160
