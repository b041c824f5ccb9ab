"""PixelCNN: van den Oord et al., "Pixel Recurrent Neural Networks" (2016), arXiv 1601.06759, figure 5 and table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor


class ResidualBlock(nn.Module):
    """ReLU, 1x1 from 2h to h, ReLU, k x k type B, ReLU, 1x1 back to 2h, plus the input (figure 5, left)."""

    def __init__(self, hidden: int, kernel_size: int, groups: int, n_classes: int | None) -> None:
        super().__init__()
        self.reduce = CausalConv2d(2 * hidden, hidden, 1, "B", groups)
        self.conv = CausalConv2d(hidden, hidden, kernel_size, "B", groups, n_classes=n_classes)
        self.expand = CausalConv2d(hidden, 2 * hidden, 1, "B", groups)

    def forward(self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None) -> Tensor:
        h = self.reduce(torch.relu(x), at, out=self.conv.input_place(at))
        h = self.conv(h.relu_(), at, y)
        return self.expand(h.relu_(), at, residual=x)


class PixelCNN(CausalNetwork):
    """A 7x7 type A convolution, ``n_res`` residual blocks, and a head of two 1x1 convolutions.

    Input: an image in [0, 1], (N, C, H, W), and with ``n_classes`` the classes y (N,). Output: ``n_params`` parameters
    of the likelihood for each pixel, (N, n_params, H, W), dealt into ``groups`` in the order of the channels: those of
    a group depend on the earlier pixels, and on the pixel's channels of the groups before.
    The network is fully convolutional: H and W come from the input.
    """

    cached_sampling = True

    def __init__(
        self,
        *,
        image_channels: int,
        n_params: int,
        groups: int,
        n_res: int,
        hidden: int,
        kernel_size: int,
        first_kernel_size: int,
        n_classes: int | None,
    ) -> None:
        super().__init__()
        self.embed = CausalConv2d(image_channels, 2 * hidden, first_kernel_size, "A", groups)
        self.blocks = nn.ModuleList(ResidualBlock(hidden, kernel_size, groups, n_classes) for _ in range(n_res))
        self.mix = CausalConv2d(2 * hidden, 2 * hidden, 1, "B", groups)
        self.out = CausalConv2d(2 * hidden, n_params, 1, "B", groups)

    def forward(self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None) -> Tensor:
        x = self.embed(x, at)
        for block in self.blocks:
            x = block(x, at, y)
        x = self.mix(torch.relu(x), at)
        return self.out(x.relu_(), at)
