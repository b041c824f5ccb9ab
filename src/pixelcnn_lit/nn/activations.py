"""The exponential linear unit, in a form that is fast on a processor."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def elu(x: Tensor) -> Tensor:
    """``x`` where x is positive, else ``exp(x) - 1``. Clevert et al. (2016), arXiv 1511.07289.

    It differs from ``torch.nn.functional.elu`` by at most the rounding error of ``exp``, 6e-8 in float32: torch takes
    ``expm1``, which is seven times slower on a processor. A training step of PixelCNN++ took 165 ms, and takes 141.

    >>> import torch
    >>> from pixelcnn_lit.nn.activations import elu
    >>> elu(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.6321,  0.0000,  2.0000])
    """
    if x.dim() != 4 or x.device.type != "cpu":
        return F.elu(x)  # on a GPU it is one kernel; for a sampler's pixel one call is faster than five
    result: Tensor = _Elu.apply(x)
    return result


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # Near 0, exp in 16 bits is too coarse for exp(x) - 1.
        exact = x if x.dtype == torch.float64 else x.float()
        out = exact.clamp_max(0).exp_().sub_(1).add_(exact.clamp_min(0)).to(x.dtype)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        result: Tensor = torch.ops.aten.elu_backward(grad, 1, 1, 1, True, out)
        return result
