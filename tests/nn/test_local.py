from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.nn.local import LocallyMaskedConv2d
from pixelcnn_lit.nn.order import Kernel, Order


def random_order(n, height, width):
    return Order(torch.rand(n, height * width).argsort(1).view(n, height, width))


@pytest.mark.parametrize(("mask_type", "groups"), [("A", 1), ("B", 1), ("A", 3), ("B", 3)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_it_is_the_sum_over_the_taps_that_come_earlier(mask_type, groups, kernel_size):
    torch.manual_seed(0)
    layer = LocallyMaskedConv2d(3, 6, kernel_size, mask_type, groups).double()
    torch.nn.init.normal_(layer.mask_weight)
    order, x = random_order(2, 4, 5), torch.randn(2, 3, 4, 5, dtype=torch.double)
    expected = layer.bias.expand(2, 4, 5, 6).clone()
    group_in, group_out = torch.arange(3) * groups // 3, torch.arange(6) * groups // 6
    for image, row, column, tap in torch.cartesian_prod(*(torch.arange(n) for n in (2, 4, 5, kernel_size**2))).tolist():
        r, c = row + tap // kernel_size - kernel_size // 2, column + tap % kernel_size - kernel_size // 2
        if not (0 <= r < 4 and 0 <= c < 5):
            continue
        own, other = order.ranks[image, row, column], order.ranks[image, r, c]
        weight = layer.weight[:, tap]
        if own == other:
            if mask_type == "A" and groups == 1:
                continue
            sees = group_in[None] < group_out[:, None] if mask_type == "A" else group_in[None] <= group_out[:, None]
            weight = weight * sees
        elif other > own:
            continue
        expected[image, row, column] += weight @ x[image, :, r, c] + layer.mask_weight[:, tap]
    torch.testing.assert_close(layer(x, order), expected.permute(0, 3, 1, 2))


def test_in_raster_order_it_is_the_masked_convolution_of_pixelcnn():
    torch.manual_seed(0)
    layer, x = LocallyMaskedConv2d(2, 3, 3, "B"), torch.randn(2, 2, 5, 4)
    kernel = layer.weight.view(3, 3, 3, 2).permute(0, 3, 1, 2).clone()
    kernel[:, :, 2] = 0
    kernel[:, :, 1, 2] = 0
    raster = Order(torch.arange(20).view(1, 5, 4))
    torch.testing.assert_close(layer(x, raster), torch.conv2d(x, kernel, layer.bias, padding=1), atol=1e-5, rtol=1e-5)


def test_an_image_in_rank_order_and_back():
    order, x = random_order(3, 4, 5), torch.rand(3, 2, 4, 5)
    ranked = order.in_rank_order(x)
    assert torch.equal(order.in_place(ranked), x)
    first = order.in_place(ranked[:, :, :2])
    assert torch.equal(first, torch.where(order.ranks[:, None] < 10, x, 0))
    assert (ranked[1, :, 2, 3] == x[1, :, *(order.ranks[1] == 13).nonzero()[0]]).all()


def test_neighbours_of_a_row_are_those_of_its_pixels_and_padding_else():
    order, kernel = random_order(2, 3, 4), Kernel(3, centre=False)
    near = order.neighbours(kernel, 2)
    assert order.neighbours(kernel, 2) is near
    for row in range(3):
        near.move_to(row)
        for column in range(4):
            for image in range(2):
                place = int(order.places[image, 4 * row + column])
                seen = order.visible(kernel)[image, place // 4, place % 4]
                assert near.places[column, image] == place
                assert near.own[column, image] == image * 13 + place
                index = near.index[column].view(2, 9)[image] - image * 13
                around = [place + (tap // 3 - 1) * 4 + tap % 3 - 1 for tap in range(9)]
                assert index.tolist() == [p if s else 12 for p, s in zip(around, seen.tolist(), strict=True)]
                assert torch.equal(near.bits[column, image], seen.float())


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd and positive, got 2"):
        LocallyMaskedConv2d(1, 1, 2, "A")
