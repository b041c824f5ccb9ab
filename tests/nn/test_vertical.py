from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.builders import tap
from pixelcnn_lit.nn.vertical import VerticalConv2d


@given(
    shape=st.sampled_from([(1, 3), (2, 3), (3, 5)]),
    looks_at_image=st.booleans(),
    dilation=st.integers(1, 3),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_a_vertical_convolution_is_a_sum_over_rows_up_to_its_own_or_the_one_above(
    shape, looks_at_image, dilation, size
):
    torch.manual_seed(0)
    dilation = 1 if looks_at_image else dilation
    layer = VerticalConv2d(3, 4, shape, looks_at_image=looks_at_image, dilation=dilation).double()
    x = torch.randn(2, 3, *size, dtype=torch.double)
    expected = layer.bias[:, None, None].expand(2, -1, *size).clone()
    rows, columns = shape
    for row in range(rows):
        for column in range(columns):
            down = (row - (rows - 1)) * dilation - looks_at_image
            moved = tap(x, max(down, -size[0]), max(-size[1], min(size[1], (column - columns // 2) * dilation)))
            expected += torch.einsum("oi,nihw->nohw", layer.weight[..., row, column], moved)
    torch.testing.assert_close(layer(x), expected)


@given(size=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_a_stride_takes_every_other_pixel(size):
    torch.manual_seed(0)
    layer = VerticalConv2d(2, 3, (2, 3), stride=2)
    x = torch.randn(2, 2, *size)
    halved = layer(x)
    layer.stride = 1
    torch.testing.assert_close(halved, layer(x)[:, :, ::2, ::2])


def test_padding_is_told_from_a_black_image():
    layer = VerticalConv2d(1, 2, (2, 3), looks_at_image=True, marks_padding=True)
    out = layer(torch.zeros(1, 1, 4, 5))
    torch.testing.assert_close(out[0, :, 0, 2], layer.bias)
    torch.testing.assert_close(out[0, :, 3, 2], layer.bias + layer.weight[:, 1].sum((1, 2)))
