"""Causal building blocks: what a network is made of when no pixel may see itself or a later one.

Every layer is called as ``layer(x, at)``. With ``at=None`` it computes a whole image, ``x`` being (N, C, H, W).
With a :class:`Cursor` it computes what an ancestral sampler needs next, and keeps what it will need again. A network
that hands ``at`` to its causal layers can therefore be evaluated and sampled from one description: everything
between those layers (activations, gates, sums) is pointwise and does not care how many pixels it is given.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MaskType = Literal["A", "B"]


class CausalConv2d(nn.Module):
    """A k x k convolution over the pixels above and to the left, the masked convolution of PixelCNN.

    ``out[o, r, c] = bias[o] + sum over i, (dr, dc) < (0, 0) in raster order of weight[o, i, dr, dc] x[i, r+dr, c+dc]``,
    and type B adds the centre tap (0, 0). In raster order these taps are the first of the k x k kernel, so ``weight``
    stores just them, flat: (out, in, taps), with taps = (k//2) k + k//2, plus one with the centre. Nothing is stored
    or updated for a masked tap, and only the upper k//2 + 1 rows of the kernel are ever multiplied.

    With ``image_channels`` C > 1 the features are dealt into C groups of equal size, ordered as R, G, B are. At the
    centre, a feature of group g sees the groups before g (type A) or up to g (type B): so type A has a centre tap too.

    van den Oord et al., "Pixel Recurrent Neural Networks" (2016), arXiv 1601.06759, section 3.4.

    Shapes: (N, in, H, W) -> (N, out, H, W); with a cursor at one pixel (N, in) -> (N, out).
    """

    centre_mask: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        image_channels: int = 1,
    ) -> None:
        """Raise ValueError for an even or non-positive ``kernel_size``."""
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
        self.in_features, self.out_features, self.kernel_size = in_features, out_features, kernel_size
        self.mask_type: MaskType = mask_type
        self.reach = kernel_size // 2
        self.sees_centre = mask_type == "B" or image_channels > 1
        taps = self.reach * kernel_size + self.reach + self.sees_centre
        self.weight = nn.Parameter(torch.empty(out_features, in_features, taps))
        self.bias = nn.Parameter(torch.empty(out_features))
        mask = None
        if image_channels > 1:
            group_in = torch.arange(in_features) * image_channels // in_features
            group_out = torch.arange(out_features) * image_channels // out_features
            before = group_in[None] < group_out[:, None]
            mask = (before if mask_type == "A" else before | (group_in[None] == group_out[:, None])).float()
        self.register_buffer("centre_mask", mask, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan-in), as torch.nn.Conv2d, with the fan-in that causality leaves."""
        bound = 1 / math.sqrt(max(1, self.weight[0].numel()))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, kernel_size={self.kernel_size}, type {self.mask_type}"

    def causal_weight(self) -> Tensor:
        """The stored taps (out, in, taps), those that a later channel would leak through set to zero."""
        if self.centre_mask is None:
            return self.weight
        return torch.cat([self.weight[..., :-1], (self.weight[..., -1] * self.centre_mask)[..., None]], dim=-1)

    def kernel(self) -> Tensor:
        """The upper k//2 + 1 rows of the k x k kernel: (out, in, k//2 + 1, k)."""
        rows = self.reach + 1
        weight = self.causal_weight()
        if rows == 1:
            return weight[..., None]
        weight = F.pad(weight, (0, rows * self.kernel_size - weight.shape[-1]))
        weight = weight.view(self.out_features, self.in_features, rows, self.kernel_size)
        return weight.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor, at: Cursor | None = None) -> Tensor:
        if at is None:
            return self.whole(x)
        if at.priming:
            if self.reach and self.mask_type == "B":
                at.memory(self).window.fill(x)
            return self.whole(x)
        return self.pixel(x, at)

    def whole(self, x: Tensor) -> Tensor:
        """A whole image: (N, in, H, W) -> (N, out, H, W)."""
        if self.reach:
            x = F.pad(x, (0, 0, self.reach, 0))
        x = F.conv2d(x, self.kernel(), self.bias, padding=(0, self.reach))
        # An image of one channel does not tell its memory format, and a network that mixes formats is twice as slow.
        return x.contiguous(memory_format=torch.channels_last)

    def above(self, past: Tensor, kernel: Tensor) -> Tensor:
        """The bias and the share of the rows above, for all columns: the last rows (N, in, k//2, W) -> (N, W, out)."""
        share = F.conv2d(past, kernel, self.bias, padding=(0, self.reach))
        return share.permute(0, 2, 3, 1)[:, 0]

    def pixel(self, x: Tensor, at: Cursor) -> Tensor:
        """One pixel, the rest from memory: (N, in) -> (N, out). Type A reads the image that the cursor holds."""
        memory = at.memory(self)
        if not self.reach:
            return torch.addmm(self.bias, x, memory.weights[0])
        column = at.column
        if self.mask_type == "B":
            memory.pixels[column].copy_(x)
        return torch.addmm(memory.above[column], memory.taps[column], memory.weights[min(column, self.reach)])


class Window:
    """The last rows of a stream, channels last: ``past`` (N, height, W, C) and the current ``row`` (N, W, C).

    They never move in memory, so that views of them, and a recording made over them, stay valid from row to row.
    """

    def __init__(self, like: Tensor, height: int, width: int, features: int) -> None:
        self.past = like.new_zeros(like.shape[0], height, width, features)
        self.row = like.new_zeros(like.shape[0], width, features)

    def fill(self, x: Tensor) -> None:
        """Take the last rows of a whole stream (N, C, H, W), the last of them as the current row."""
        rows = x.permute(2, 0, 3, 1)
        self.row.copy_(rows[-1])
        for back in range(1, min(self.past.shape[1], len(rows) - 1) + 1):
            self.past[:, -back].copy_(rows[-1 - back])

    def scroll(self) -> None:
        """Start a new row: every row moves up by one, the current row is to be written."""
        height = self.past.shape[1]
        for row in range(height - 1):
            self.past[:, row].copy_(self.past[:, row + 1])
        if height:
            self.past[:, -1].copy_(self.row)


class Memory:
    """What one layer keeps while a cursor moves: its window, its share of the rows above, its weights as matrices."""

    def __init__(self, layer: CausalConv2d, at: Cursor) -> None:
        self.layer = layer
        reach, features = layer.reach, layer.in_features
        if layer.mask_type == "A":
            self.window = at.image
        else:
            self.window = Window(at.image.row, reach, at.width, features)
        left = layer.causal_weight()[..., reach * layer.kernel_size :].permute(2, 1, 0)
        left = left.reshape(-1, layer.out_features).contiguous()
        self.weights = [left[(reach - skipped) * features :] for skipped in range(reach + 1)]
        row = self.window.row
        self.pixels = row.unbind(1)
        ends = [column + layer.sees_centre for column in range(at.width)]
        self.taps = [row[:, max(0, column - reach) : end].flatten(1) for column, end in enumerate(ends)]
        self._past = self.window.past[:, self.window.past.shape[1] - reach :].permute(0, 3, 1, 2)
        self._kernel = layer.kernel()[:, :, :-1].contiguous(memory_format=torch.channels_last)
        self._above = row.new_empty(row.shape[0], at.width, layer.out_features)
        self.above = self._above.unbind(1)

    def start_row(self) -> None:
        """Let the window scroll and compute what the new row takes from the rows above: one convolution."""
        if self.layer.reach:
            if self.layer.mask_type == "B":
                self.window.scroll()
            self._above.copy_(self.layer.above(self._past, self._kernel))


class Cursor:
    """Where an ancestral sampler stands, and what the layers remember of the pixels behind it.

    ``image`` is the window on the network's input, filled by the sampler; ``column`` the pixel to compute in the
    current row. While ``priming``, layers compute whole images (the known rows at the top) and keep
    the rows that they will need.
    """

    def __init__(self, network: nn.Module, like: Tensor, width: int, image_channels: int) -> None:
        """A cursor before the first row of len(like) images, with a memory for each causal layer of ``network``.

        Memory is of ``like``'s type and device: O(N x rows that a kernel reaches x width x features) for a layer.
        """
        self.width = width
        self.column = 0
        self.priming = False
        layers = [layer for layer in network.modules() if isinstance(layer, CausalConv2d)]
        reach = max(layer.reach for layer in layers if layer.mask_type == "A")
        self.image = Window(like, reach, width, image_channels)
        self._memories = {layer: Memory(layer, self) for layer in layers}

    def memory(self, layer: CausalConv2d) -> Memory:
        """The memory of ``layer``."""
        return self._memories[layer]

    def start_row(self) -> None:
        """Move to the first column of the next row."""
        self.column = 0
        self.image.scroll()
        for memory in self._memories.values():
            memory.start_row()
