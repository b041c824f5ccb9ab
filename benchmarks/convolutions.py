"""What the convolutions of a training step take by themselves: each alone, forward and backward, its data in the cache.

No step can be faster than that without other convolutions. What a step takes beyond it is activations, sums, copies and
loss, and waiting for memory, since a step's activations do not fit into any cache.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from benchmarks.machine import synchronise
from pixelcnn_lit.density import Density

Call = tuple[torch.Size, torch.Size, int, tuple[int, int], tuple[int, int], bool]
"""Shapes of a convolution's input and weight, its stride, padding, dilation, and whether its input needs a gradient."""


def seconds_alone(density: Density, x: Tensor, mixed: bool) -> float:
    """Seconds of all convolutions of a step on levels x (N, C, H, W)."""
    with _Calls() as calls:
        density(x)
    dtype = torch.bfloat16 if mixed else torch.float32
    return sum(count * _seconds(call, x.device, dtype) for call, count in Counter(calls.made).items())


class _Calls(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.made: list[Call] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.conv2d:
            x, weight, _, stride, padding, dilation = args
            self.made.append((x.shape, weight.shape, stride, padding, dilation, x.requires_grad))
        return func(*args, **(kwargs or {}))


def _seconds(call: Call, device: torch.device, dtype: torch.dtype) -> float:
    """Forward and backward of one convolution: the best of three repetitions of four."""
    x_shape, weight_shape, stride, padding, dilation, has_gradient = call
    x, weight = torch.randn(x_shape, device=device), torch.randn(weight_shape, device=device)
    x, weight = (t.to(dtype, memory_format=torch.channels_last) for t in (x, weight))
    bias = torch.zeros(len(weight), device=device, dtype=dtype)
    gradient = torch.randn_like(F.conv2d(x, weight, bias, stride, padding, dilation))

    def once() -> None:
        F.conv2d(x, weight, bias, stride, padding, dilation)
        torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            [len(weight)],
            [stride, stride],
            list(padding),
            list(dilation),
            False,
            [0, 0],
            1,
            [has_gradient, True, True],
        )

    best = float("inf")
    once()
    for _ in range(3):
        synchronise(device.type)
        start = time.perf_counter()
        for _ in range(4):
            once()
        synchronise(device.type)
        best = min(best, (time.perf_counter() - start) / 4)
    return best
