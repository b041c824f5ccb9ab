"""Exponential linear units, in a form that is fast on a processor."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def elu(x: Tensor) -> Tensor:
    """``x`` where x is positive, else ``exp(x) - 1``. Clevert et al. (2016), arXiv 1511.07289.

    It differs from ``torch.nn.functional.elu`` by at most the rounding error of ``exp``, 6e-8 in float32: torch takes
    ``expm1``, which is seven times slower on a processor.

    >>> import torch
    >>> from pixelcnn_lit.nn.activations import elu
    >>> elu(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.6321,  0.0000,  2.0000])
    """
    if not _pays(x):
        return F.elu(x)
    result: Tensor = _Elu.apply(x)
    return result


def concat_elu(x: Tensor) -> Tensor:
    """The concatenation of ELU(x) and ELU(-x): (N, F, ...) -> (N, 2F, ...). Salimans et al. (2017), arXiv 1701.05517.

    Both are ``max(x, e)`` and ``max(-x, e)`` of one ``e = exp(-|x|) - 1``: half the exponentials.

    >>> import torch
    >>> from pixelcnn_lit.nn.activations import concat_elu
    >>> concat_elu(torch.tensor([[-1.0, 2.0]]))
    tensor([[-0.6321,  2.0000,  1.0000, -0.8647]])
    """
    if not _pays(x):
        return F.elu(torch.cat([x, -x], dim=1))
    result: Tensor = _ConcatElu.apply(x)
    return result


def _pays(x: Tensor) -> bool:
    """Whether our own form is faster. On a GPU ELU is one kernel; for a sampler's pixel one call beats five."""
    return x.dim() == 4 and x.device.type == "cpu"


def _exact(x: Tensor) -> Tensor:
    """x in a type in which ``exp(x) - 1`` keeps its digits near 0: not in 16 bits."""
    return x if x.dtype == torch.float64 else x.float()


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        exact = _exact(x)
        out = exact.clamp_max(0).exp_().sub_(1).add_(exact.clamp_min(0)).to(x.dtype)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        result: Tensor = torch.ops.aten.elu_backward(grad, 1, 1, 1, True, out)
        return result


class _ConcatElu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        exact = _exact(x)
        e = exact.abs().neg_().exp_().sub_(1).to(x.dtype)
        out = torch.cat([torch.maximum(x, e), torch.maximum(-x, e)], dim=1)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        plus, minus = torch.ops.aten.elu_backward(grad, 1, 1, 1, True, out).chunk(2, dim=1)
        return plus - minus
