"""Steps of a network that automatic differentiation would take apart, as one: fewer passes over memory, less kept.

Each has the values and the gradients of what its docstring says, to the last bits; the tests compare them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 2**18
"""How many logits are worked on at once: a megabyte in float32, which a core's cache holds."""

Padding = tuple[int, int, int]
"""Zeros around an image: columns to the left and to the right, rows on top."""


def relu_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor, around: Padding, stride: int, columns: int, dilation: int
) -> Tensor:
    """``conv2d(pad(relu(x), around), weight, bias, stride, (0, columns), dilation)``.

    Autograd would keep relu(x) twice, with and without the zeros, and copy it and its gradient in between.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        out: Tensor = _ReluConv2d.apply(x, weight, bias, around, stride, columns, dilation)
        return out
    return F.conv2d(_padded_relu(x, around), weight, bias, stride, (0, columns), dilation)


class _ReluConv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, around: Padding, stride: int, columns: int, dilation: int
    ) -> Tensor:
        rectified = _padded_relu(x, around)
        ctx.save_for_backward(rectified, weight)
        ctx.options = around, stride, columns, dilation
        return F.conv2d(rectified, weight, bias, stride, (0, columns), dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rectified, weight = ctx.saved_tensors
        around, stride, columns, dilation = ctx.options
        of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradient.contiguous(memory_format=torch.channels_last),
            rectified,
            weight,
            [len(weight)],
            [stride, stride],
            [0, columns],
            [dilation, dilation],
            False,
            [0, 0],
            1,
            ctx.needs_input_grad[:3],
        )
        if of_x is not None:
            of_x = torch.ops.aten.threshold_backward(_inside(of_x, around), _inside(rectified, around), 0)
        return of_x, of_weight, of_bias, None, None, None, None


def _padded_relu(x: Tensor, around: Padding) -> Tensor:
    left, right, top = around
    if not any(around) or torch.compiler.is_compiling():
        return F.pad(torch.relu(x), (left, right, top, 0))
    n, features, height, width = x.shape
    padded = x.new_empty((n, height + top, width + left + right, features)).permute(0, 3, 1, 2)
    padded[:, :, :top] = 0
    if left:
        padded[..., :left] = 0
    if right:
        padded[..., -right:] = 0
    torch.clamp_min(x, 0, out=_inside(padded, around))
    return padded


def _inside(padded: Tensor, around: Padding) -> Tensor:
    left, right, top = around
    return padded[:, :, top:, left : padded.shape[3] - right]


def log_softmax_at(logits: Tensor, target: Tensor) -> Tensor:
    """``log_softmax(logits.float(), 1)`` at the target: (M, levels) and (M,) -> (M,), in float32 or wider.

    All that PyTorch's cross-entropy writes in between, several times the size of the logits, stays in the cache.
    """
    if logits.device.type != "cpu" or torch.compiler.is_compiling():
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return -F.cross_entropy(wide, target, reduction="none")
    out: Tensor = _LogSoftmaxAt.apply(logits, target)
    return out


class _LogSoftmaxAt(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        wide = torch.promote_types(logits.dtype, torch.float32)
        out, log_sums = logits.new_empty((2, len(logits)), dtype=wide)
        for rows in _parts(logits):
            part, at = logits[rows].to(wide), target[rows, None]
            out[rows] = part.log_softmax(1).gather(1, at)[:, 0]
            log_sums[rows] = part.gather(1, at)[:, 0] - out[rows]
        ctx.save_for_backward(logits, target, log_sums)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logits, target, log_sums = ctx.saved_tensors
        of_logits = torch.empty_like(logits)
        for rows in _parts(logits):
            share = gradient[rows, None]
            part = logits[rows].to(log_sums.dtype, copy=True)
            part.sub_(log_sums[rows, None]).exp_().mul_(-share)
            of_logits[rows] = part.scatter_add_(1, target[rows, None], share)
        return of_logits, None


def _parts(logits: Tensor) -> list[slice]:
    step = max(1, ROWS // logits.shape[1])
    return [slice(start, start + step) for start in range(0, len(logits), step)]
