from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from helpers.builders import tap
from pixelcnn_lit.nn.causal import CausalConv2d


def masked_square_weight(layer: CausalConv2d) -> torch.Tensor:
    """The k x k kernel of the textbook, its masked taps zero, as a leaf that collects gradients."""
    k = layer.left + 1 + layer.right
    square = torch.zeros(layer.out_features, layer.in_features, k * k, dtype=layer.weight.dtype)
    taps = layer.weight.shape[-1]
    square[..., :taps] = layer.weight.detach()
    if layer.centre_mask is not None:
        square[..., taps - 1] *= layer.centre_mask
    return square.view(layer.out_features, layer.in_features, k, k).requires_grad_()


@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    mask_type=st.sampled_from("AB"),
    channels=st.sampled_from([1, 3]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_equals_a_square_convolution_with_masked_weights(kernel, mask_type, channels, size):
    if kernel == 1 and mask_type == "A" and channels == 1:
        return  # sees nothing at all
    torch.manual_seed(0)
    layer = CausalConv2d(6, 9, kernel, mask_type, channels).double()
    square = masked_square_weight(layer)
    x = torch.randn(2, 6, *size, dtype=torch.double, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    ours, theirs = layer(x), F.conv2d(y, square, layer.bias.detach(), padding=kernel // 2)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    taps = layer.weight.shape[-1]
    expected = square.grad.flatten(2)[..., :taps].clone()
    if layer.centre_mask is not None:
        expected[..., -1] *= layer.centre_mask
    torch.testing.assert_close(layer.weight.grad, expected)


@pytest.mark.parametrize(("kernel", "mask_type", "taps"), [(7, "A", 24), (3, "B", 5), (1, "B", 1), (5, "A", 12)])
def test_only_the_taps_before_the_centre_are_parameters(kernel, mask_type, taps):
    assert CausalConv2d(2, 3, kernel, mask_type).weight.shape == (3, 2, taps)


@pytest.mark.parametrize("kernel", [0, 2, -3, 4])
def test_even_kernels_are_refused(kernel):
    with pytest.raises(ValueError, match="odd and positive"):
        CausalConv2d(1, 1, kernel, "B")


@given(
    shape=st.sampled_from([(1, 3), (1, 5), (2, 2), (2, 3), (3, 3)]),
    mask_type=st.sampled_from("AB"),
    dilation=st.integers(1, 3),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_a_cropped_and_dilated_convolution_is_a_sum_over_its_taps(shape, mask_type, dilation, size):
    torch.manual_seed(0)
    layer = CausalConv2d(3, 4, shape, mask_type, dilation=dilation, n_classes=2).double()
    torch.nn.init.normal_(layer.class_bias)
    x, y = torch.randn(2, 3, *size, dtype=torch.double), torch.tensor([1, 0])
    expected = (layer.bias + layer.class_bias[y])[:, :, None, None].expand(-1, -1, *size).clone()
    rows, columns = shape
    for index in range(layer.weight.shape[2]):
        down, right = index // columns - (rows - 1), index % columns - columns // 2
        moved = tap(x, max(down * dilation, -size[0]), max(-size[1], min(size[1], right * dilation)))
        expected += torch.einsum("oi,nihw->nohw", layer.weight[..., index], moved)
    torch.testing.assert_close(layer(x, None, y), expected)


def test_a_conditional_layer_asks_for_the_classes():
    with pytest.raises(ValueError, match="needs the classes"):
        CausalConv2d(1, 2, 3, "B", n_classes=2)(torch.zeros(1, 1, 3, 3))


@given(size=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_a_stride_takes_every_other_pixel(size):
    torch.manual_seed(0)
    layer = CausalConv2d(2, 3, (2, 2), "B", stride=2)
    x = torch.randn(2, 2, *size)
    halved = layer(x)
    layer.stride = 1
    torch.testing.assert_close(halved, layer(x)[:, :, ::2, ::2])


def test_a_pointwise_convolution_adds_what_it_is_given_beside():
    layer = CausalConv2d(3, 5, 1, "B")
    x, beside = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4, requires_grad=True)
    before = beside.detach().clone()
    total = layer(x, residual=beside)
    torch.testing.assert_close(total, layer(x) + before)
    total.sum().backward()
    assert torch.equal(beside.grad, torch.ones_like(beside))
    assert torch.equal(beside.detach(), before)


def test_a_kernel_of_one_row_has_no_dilation_along_rows(monkeypatch):
    told = []
    convolve = F.conv2d
    monkeypatch.setattr(F, "conv2d", lambda *args: told.append(args[5]) or convolve(*args))
    for size, expected in (((1, 3), (1, 2)), (3, (2, 2))):
        CausalConv2d(4, 4, size, "B", dilation=2)(torch.randn(1, 4, 5, 5))
        assert told.pop() == expected
