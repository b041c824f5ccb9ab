"""PixelCNN: van den Oord et al., "Pixel Recurrent Neural Networks" (2016), arXiv 1601.06759, figure 5 and table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.context import ContextEncoder
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor


class ResidualBlock(nn.Module):
    """A residual block (figure 5, left): x + conv1x1(ReLU(conv k x k(ReLU(conv1x1(ReLU(x)))))), all of type B.

    The features go from 2h to h, h and 2h.
    """

    def __init__(
        self, hidden: int, kernel_size: int, groups: int, n_classes: int | None, n_context: int | None
    ) -> None:
        super().__init__()
        self.reduce = CausalConv2d(2 * hidden, hidden, 1, "B", groups)
        self.conv = CausalConv2d(
            hidden, hidden, kernel_size, "B", groups, n_classes=n_classes, context_features=n_context
        )
        self.expand = CausalConv2d(hidden, 2 * hidden, 1, "B", groups)

    def forward(self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        h = self.reduce(torch.relu(x), at, out=self.conv.input_place(at))
        h = self.conv(h.relu_(), at, y, s)
        return self.expand(h.relu_(), at, residual=x)


class PixelCNN(CausalNetwork):
    """A type A convolution (7x7 in the paper), ``n_res`` residual blocks, and a head of two 1x1 convolutions.

    Input: images (N, C, H, W) in [0, 1], with ``n_classes`` the classes y (N,), and with a ``context_encoder`` the
    context (N, F, H', W'). Output: (N, n_params, H, W), the
    parameters of the likelihood for each pixel. The parameters form ``groups`` groups in the order of the channels. A
    group depends on the earlier pixels, and on the channels of earlier groups at the pixel itself. H and W come from
    the input.

    Args:
        image_channels: The channels C of the images.
        n_params: Parameters of the likelihood per pixel.
        groups: 1, or C for a likelihood that does not couple the channels.
        n_res: The number of residual blocks.
        hidden: h; the residual stream has 2h features.
        kernel_size: Of the blocks' type B convolutions, odd.
        first_kernel_size: Of the type A convolution, odd.
        n_classes: The number of classes for p(image | class), or None.
        context_encoder: For p(image | context), or None.

    >>> import torch
    >>> from pixelcnn_lit.models import PixelCNN
    >>> network = PixelCNN(image_channels=1, n_params=4, groups=1, n_res=2, hidden=8, kernel_size=3,
    ...                    first_kernel_size=7, n_classes=None)
    >>> network(torch.rand(2, 1, 28, 28)).shape
    torch.Size([2, 4, 28, 28])
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
        context_encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__(context_encoder)
        self.embed = CausalConv2d(image_channels, 2 * hidden, first_kernel_size, "A", groups)
        self.blocks = nn.ModuleList(
            ResidualBlock(hidden, kernel_size, groups, n_classes, self.context_features) for _ in range(n_res)
        )
        self.mix = CausalConv2d(2 * hidden, 2 * hidden, 1, "B", groups)
        self.out = CausalConv2d(2 * hidden, n_params, 1, "B", groups)

    def forward(
        self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        s = self.seen(context, x, at)
        x = self.embed(x, at)
        for block in self.blocks:
            x = block(x, at, y, s)
        x = self.mix(torch.relu(x), at)
        return self.out(x.relu_(), at)
