from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pixelcnn_lit import fused


@pytest.mark.parametrize("around", [(0, 0, 0), (0, 0, 2), (1, 0, 1), (0, 2, 0), (2, 1, 3)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_relu_conv2d_has_the_values_and_gradients_of_its_parts(around, stride, dilation):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 7, 6, dtype=torch.double, requires_grad=True)
    weight = torch.randn(4, 3, 2, 3, dtype=torch.double, requires_grad=True)
    bias = torch.randn(4, dtype=torch.double, requires_grad=True)
    left, right, top = around
    fine = fused.relu_conv2d(x, weight, bias, around, stride, 1, dilation)
    parts = F.conv2d(F.pad(torch.relu(x), (left, right, top, 0)), weight, bias, stride, (0, 1), dilation)
    assert torch.allclose(fine, parts, rtol=1e-12)
    gradient = torch.randn_like(fine)
    for ours, theirs in zip(
        torch.autograd.grad(fine, (x, weight, bias), gradient),
        torch.autograd.grad(parts, (x, weight, bias), gradient),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, rtol=1e-12)


def test_relu_conv2d_computes_in_autocasts_precision():
    x, weight, bias = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 1, 1, requires_grad=True), torch.zeros(4)
    with torch.autocast("cpu", torch.bfloat16):
        out = fused.relu_conv2d(x, weight, bias, (0, 0, 0), 1, 0, 1)
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_log_softmax_at_is_the_cross_entropy(dtype, rows, monkeypatch):
    monkeypatch.setattr(fused, "ROWS", 7 * 16)
    torch.manual_seed(0)
    logits = (8 * torch.randn(rows, 16)).to(dtype).requires_grad_()
    target = torch.randint(0, 16, (rows,))
    wide = torch.promote_types(dtype, torch.float32)
    ours, theirs = fused.log_softmax_at(logits, target), -F.cross_entropy(logits.to(wide), target, reduction="none")
    assert ours.dtype == wide
    assert torch.equal(ours, theirs)
    weights = torch.rand(rows, dtype=wide)
    ((got,), (expected,)) = (torch.autograd.grad(out, logits, weights) for out in (ours, theirs))
    assert got.dtype == dtype
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    assert torch.allclose(got, expected, rtol=tolerance, atol=tolerance / 100)


def test_logits_of_infinity_have_no_nan():
    logits = torch.tensor([[0.0, float("-inf"), 1.0]], requires_grad=True)
    fused.log_softmax_at(logits, torch.tensor([2])).sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.sum().abs() < 1e-6
