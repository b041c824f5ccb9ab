"""Gated PixelCNN: a vertical and a horizontal stack with gated activations, and no blind spot.

van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016), arXiv 1606.05328, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pixelcnn_lit.nn.activations import elu
from pixelcnn_lit.nn.causal import CausalConv2d, gate
from pixelcnn_lit.nn.context import ContextEncoder
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor
from pixelcnn_lit.nn.vertical import RowsAbove, VerticalConv2d


class VerticalBlock(nn.Module):
    """The left half of figure 2: a convolution of k//2 + 1 rows and k columns, a gate, the link to the right half."""

    def __init__(
        self, hidden: int, kernel_size: int, dilation: int, n_classes: int | None, n_context: int | None
    ) -> None:
        super().__init__()
        rows = kernel_size // 2 + 1
        self.conv = VerticalConv2d(
            hidden,
            2 * hidden,
            (rows, kernel_size),
            dilation=dilation,
            n_classes=n_classes,
            context_features=n_context,
        )
        self.link = nn.Conv2d(2 * hidden, 2 * hidden, 1)

    def forward(self, v: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> tuple[Tensor, Tensor]:
        features = self.conv(v, at, y, s)
        return gate(features), self.link(features)


class VerticalStack(RowsAbove):
    """The vertical stack. It gives the horizontal stack one link of 2 * hidden features per block."""

    def __init__(
        self,
        image_channels: int,
        hidden: int,
        kernel_size: int,
        first_kernel_size: int,
        dilations: Sequence[int],
        n_classes: int | None,
        n_context: int | None,
    ) -> None:
        super().__init__()
        first = (first_kernel_size // 2, first_kernel_size)
        self.embed = VerticalConv2d(image_channels, hidden, first, looks_at_image=True)
        self.blocks = nn.ModuleList(VerticalBlock(hidden, kernel_size, d, n_classes, n_context) for d in dilations)

    def rows(self, x: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> list[list[Tensor]]:
        v = self.embed(x, at)
        links = []
        for block in self.blocks:
            v, link = block(v, at, y, s)
            links.append(link)
        return [links]


class HorizontalBlock(nn.Module):
    """The right half of figure 2: x + conv1x1(gate(conv 1 x k(x) + link)). The 1 x k convolution sees the left."""

    def __init__(
        self,
        hidden: int,
        kernel_size: int,
        dilation: int,
        groups: int,
        n_classes: int | None,
        n_context: int | None,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.conv = CausalConv2d(
            hidden,
            2 * hidden,
            (1, kernel_size),
            "B",
            groups,
            dilation=dilation,
            n_classes=n_classes,
            context_features=n_context,
            gated=True,
        )
        self.out = CausalConv2d(hidden, hidden, 1, "B", groups)

    def forward(self, h: Tensor, link: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> Tensor:
        return self.out(gate(self.conv(h, at, y, s) + link, self.groups), at, residual=h)


class GatedPixelCNN(CausalNetwork):
    """Gated PixelCNN: the vertical stack sees the rows above, the horizontal stack the pixels to the left.

    Input and output are those of :class:`~pixelcnn_lit.models.pixelcnn.PixelCNN`. The head is an ELU and a 1x1
    convolution.

    Args:
        image_channels: The channels C of the images.
        n_params: Parameters of the likelihood per pixel.
        groups: 1, or C for a likelihood that does not couple the channels.
        n_res: The number of blocks in each stack.
        hidden: Features of each stack.
        kernel_size: Of the blocks, odd.
        first_kernel_size: Of the first layers, odd.
        dilations: Block i has dilation ``dilations[i % len(dilations)]``.
        n_classes: The number of classes for p(image | class), or None.
        context_encoder: For p(image | context), or None.

    >>> import torch
    >>> from pixelcnn_lit.models import GatedPixelCNN
    >>> network = GatedPixelCNN(image_channels=1, n_params=4, groups=1, n_res=2, hidden=8, kernel_size=3,
    ...                         first_kernel_size=7, dilations=[1, 2], n_classes=10)
    >>> network(torch.rand(2, 1, 28, 28), y=torch.tensor([3, 7])).shape
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
        dilations: Sequence[int],
        n_classes: int | None,
        context_encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__(context_encoder)
        each = [dilations[i % len(dilations)] for i in range(n_res)]
        given = n_classes, self.context_features
        self.vertical = VerticalStack(image_channels, hidden, kernel_size, first_kernel_size, each, *given)
        self.embed = CausalConv2d(image_channels, hidden, (1, first_kernel_size), "A", groups)
        self.blocks = nn.ModuleList(HorizontalBlock(hidden, kernel_size, d, groups, *given) for d in each)
        self.out = CausalConv2d(hidden, n_params, 1, "B", groups)

    def forward(
        self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        s = self.seen(context, x, at)
        (links,) = self.vertical(x, at, y, s)
        h = self.embed(x, at)
        for block, link in zip(self.blocks, links, strict=True):
            h = block(h, link, at, y, s)
        return self.out(elu(h), at)
