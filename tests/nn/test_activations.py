from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pixelcnn_lit.nn.activations import concat_elu, elu


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float64, 1e-15), (torch.float32, 2e-7), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)]
)
@pytest.mark.parametrize("shape", [(2, 3, 40, 50), (40, 300)])
@pytest.mark.parametrize(
    ("function", "plain"), [(elu, F.elu), (concat_elu, lambda x: F.elu(torch.cat([x, -x], dim=1)))]
)
def test_it_is_torch_s_elu_to_rounding_error_with_its_gradient(function, plain, dtype, error, shape):
    torch.manual_seed(0)
    x = (torch.randn(shape) * 4).to(dtype)
    x.view(-1)[:6] = torch.tensor([0, -1e-3, 1e-3, -60, 60, -1e-6]).to(dtype)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = torch.rand(plain(x).shape).to(dtype)
    results = []
    for leaf, form in ((ours, function), (theirs, plain)):
        out = form(leaf)
        (out * weights).sum().backward()
        results.append((out, leaf.grad))
    for mine, torchs in zip(*results, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine, torchs, atol=error, rtol=error)


def test_numbers_near_0_keep_their_digits_in_bfloat16():
    x = torch.full((1, 1, 1, 1), -1e-3, dtype=torch.bfloat16)
    torch.testing.assert_close(elu(x), x, rtol=1e-2, atol=0)
    torch.testing.assert_close(concat_elu(-x)[:, 1:], x, rtol=1e-2, atol=0)
