"""The encoder of a context, and its bias in causal layers."""

from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.models import PixelCNN
from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.context import ContextEncoder, ContextShape, halved
from pixelcnn_lit.nn.vertical import VerticalConv2d


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_features_of_the_context_have_the_size_of_the_image_and_are_cut_for_a_part_of_it(factor):
    encoder = ContextEncoder(shape=ContextShape(2, factor), features=3, n_res=1)
    context = torch.rand(2, 2, 3, 2)
    whole = encoder(context, (3 * factor, 2 * factor))
    assert whole.shape == (2, 3, 3 * factor, 2 * factor)
    assert torch.equal(encoder(context, (2, 2 * factor)), whole[:, :, :2])


def test_a_place_of_the_context_gives_each_of_its_pixels_other_features():
    features = ContextEncoder(shape=ContextShape(1, 2), features=4, n_res=0)(torch.rand(1, 1, 1, 1), (2, 2))
    assert len(features[0].flatten(1).t().unique(dim=0)) == 4


def test_the_halved_features_of_a_part_are_those_of_the_whole():
    s = torch.rand(1, 2, 6, 5)
    for rows in range(1, 7):
        assert torch.equal(halved(s[:, :, :rows]), halved(s)[:, :, : (rows + 1) // 2])
    assert halved(None) is None


@pytest.mark.parametrize(
    "layer", [CausalConv2d(2, 3, 3, "B", context_features=4), VerticalConv2d(2, 3, (2, 3), context_features=4)]
)
def test_the_bias_of_a_place_is_a_linear_function_of_its_features(layer):
    x, s = torch.rand(2, 2, 5, 4), torch.rand(2, 4, 5, 4)
    expected = layer(x, s=torch.zeros_like(s)) + torch.einsum("os,nshw->nohw", layer.context_weight, s)
    torch.testing.assert_close(layer(x, s=s), expected)
    with pytest.raises(ValueError, match="needs the context"):
        layer(x)


def test_layers_that_have_no_place_for_a_context_refuse_it():
    with pytest.raises(ValueError, match="1x1 convolution takes no context_features"):
        CausalConv2d(2, 3, 1, "B", context_features=4)
    with pytest.raises(ValueError, match="context_features has stride 1, got 2"):
        CausalConv2d(2, 3, 3, "B", stride=2, context_features=4)


def test_the_weights_of_a_network_without_context_are_those_of_before():
    sizes = {"image_channels": 1, "n_params": 2, "groups": 1, "n_res": 1, "hidden": 4}
    plain = PixelCNN(**sizes, kernel_size=3, first_kernel_size=3, n_classes=None)
    assert not [name for name in plain.state_dict() if "context" in name]
    with pytest.raises(ValueError, match="cannot be"):
        ContextShape(1, 4).of(6, 8)
