"""LMConv: Jain et al., "Locally Masked Convolution for Autoregressive Models" (2020), arXiv 2006.12486.

What differs from the paper: the residual blocks are those of PixelCNN, so that the two compare; the paper has those of
PixelCNN++. Besides the eight scans, it is trained on random holes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.context import ContextEncoder
from pixelcnn_lit.nn.contract import OrderedNetwork
from pixelcnn_lit.nn.cursor import Cursor
from pixelcnn_lit.nn.local import LocallyMaskedConv2d
from pixelcnn_lit.nn.order import Order, raster


class LocalBlock(nn.Module):
    """A residual block: x + conv1x1(ReLU(conv k x k(ReLU(conv1x1(ReLU(x)))))). The features go from 2h to h, h, 2h."""

    def __init__(
        self, hidden: int, kernel_size: int, groups: int, n_classes: int | None, n_context: int | None
    ) -> None:
        super().__init__()
        self.reduce = CausalConv2d(2 * hidden, hidden, 1, "B", groups)
        self.conv = LocallyMaskedConv2d(
            hidden, hidden, kernel_size, "B", groups, n_classes=n_classes, context_features=n_context
        )
        self.expand = CausalConv2d(hidden, 2 * hidden, 1, "B", groups)

    def forward(self, x: Tensor, order: Order, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> Tensor:
        h = self.reduce(torch.relu(x), at)
        h = self.conv(h.relu_(), order, at, y, s)
        return self.expand(h.relu_(), at, residual=x)


class LMConv(OrderedNetwork):
    """Locally masked convolutions: a type A one, ``n_res`` residual blocks, and a head of two 1x1 convolutions.

    Input and output are those of :class:`~pixelcnn_lit.models.pixelcnn.PixelCNN`, and the order of the pixels.

    Args:
        image_channels: The channels C of the images.
        n_params: Parameters of the likelihood per pixel.
        groups: 1, or C for a likelihood that does not couple the channels.
        n_res: The number of residual blocks.
        hidden: h; the residual stream has 2h features.
        kernel_size: Of the blocks' convolutions, odd.
        first_kernel_size: Of the type A convolution, odd.
        n_classes: The number of classes for p(image | class), or None.
        context_encoder: For p(image | context), or None.

    >>> import torch
    >>> from pixelcnn_lit.models import LMConv
    >>> network = LMConv(image_channels=1, n_params=4, groups=1, n_res=2, hidden=8, kernel_size=3,
    ...                  first_kernel_size=7, n_classes=None)
    >>> from_the_centre = torch.randperm(28 * 28).view(1, 28, 28)
    >>> network(torch.rand(2, 1, 28, 28), order=from_the_centre).shape
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
        self.embed = LocallyMaskedConv2d(image_channels, 2 * hidden, first_kernel_size, "A", groups)
        self.blocks = nn.ModuleList(
            LocalBlock(hidden, kernel_size, groups, n_classes, self.context_features) for _ in range(n_res)
        )
        self.mix = CausalConv2d(2 * hidden, 2 * hidden, 1, "B", groups)
        self.out = CausalConv2d(2 * hidden, n_params, 1, "B", groups)

    def forward(
        self,
        x: Tensor,
        at: Cursor | None = None,
        y: Tensor | None = None,
        context: Tensor | None = None,
        order: Tensor | None = None,
    ) -> Tensor:
        s = self.seen(context, x, at)
        if at is None:
            places = Order(raster(x.shape[2], x.shape[3], x.device) if order is None else order)
        else:
            places = at.order
            x = places.in_place(x) if at.stage == "known" else x
        x = self.embed(x, places, at)
        for block in self.blocks:
            x = block(x, places, at, y, s)
        x = self.mix(torch.relu(x), at)
        return self.out(x.relu_(), at)
