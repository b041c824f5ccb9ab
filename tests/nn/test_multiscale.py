from __future__ import annotations

import pytest
import torch
from torch import nn

from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.multiscale import Grow, HalvedPixels


def test_each_pixel_grows_to_four():
    torch.manual_seed(0)
    grow = Grow(2, 3, columns=2)
    x = torch.randn(1, 2, 3, 4)
    grown = grow(x)
    assert grown.shape == (1, 3, 6, 8)
    for row in range(2):
        for column in range(2):
            expected = torch.einsum("io,nihw->nohw", grow.weight[..., row, column], x) + grow.bias[:, None, None]
            torch.testing.assert_close(grown[:, :, row::2, column::2], expected)


def test_a_row_grows_to_two_that_see_no_other_row():
    torch.manual_seed(0)
    grow = Grow(2, 3, columns=3)
    x = torch.randn(1, 2, 3, 4, requires_grad=True)
    grown = grow(x)
    assert grown.shape == (1, 3, 6, 8)
    for row in range(6):
        (grad,) = torch.autograd.grad(grown[:, :, row].sum(), x, retain_graph=True)
        assert grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist() == [row // 2]
    (grad,) = torch.autograd.grad(grown[0, 0, 0, 3], x)
    assert grad.abs().sum((0, 1, 2)).nonzero().flatten().tolist() == [1, 2]  # between the coarse pixels 1 and 2


@pytest.mark.parametrize("size", [(1, 1), (4, 6), (5, 3)])
def test_any_size_comes_back_as_it_was(size):
    class Inner(nn.Module):
        def forward(self, x, above, at, y, s):
            assert x.shape[2:] == tuple((side + 1) // 2 for side in size)
            return x

    halved = HalvedPixels(CausalConv2d(2, 2, (2, 2), "B", stride=2), Inner(), Grow(2, 2, 2))
    assert halved(torch.randn(3, 2, *size), [], None, None, None).shape == (3, 2, *size)
