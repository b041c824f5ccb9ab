"""PixelSNAIL: Chen et al. (2017), arXiv 1712.09763, figures 3 and 5.

What differs from the paper: each block is added to the stream that goes to the head, as in the package
pytorch-generative, where it made training stable; a pixel may attend to nothing (see
:class:`~pixelcnn_lit.nn.attention.CausalAttention`); with a softmax in colour, the features are in groups.
``conf/model/pixelsnail.yaml`` has pytorch-generative's sizes, ``pixelsnail_cifar10.yaml`` the paper's.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn_lit.nn.activations import elu
from pixelcnn_lit.nn.attention import CausalAttention
from pixelcnn_lit.nn.causal import CausalConv2d, gate
from pixelcnn_lit.nn.context import ContextEncoder
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor

SEEN = (2, 2)
"""A convolution sees the pixel, the one to its left and the two above them."""


class GatedBlock(nn.Module):
    """A gated residual block (figure 5, left): ``x + a sigmoid(b)``, ``(a, b) = conv(dropout(ELU(conv(ELU(x)))))``."""

    def __init__(self, hidden: int, groups: int, dropout: float, n_classes: int | None, n_context: int | None) -> None:
        super().__init__()
        self.first = CausalConv2d(hidden, hidden, SEEN, "B", groups)
        self.second = CausalConv2d(
            hidden, 2 * hidden, SEEN, "B", groups, n_classes=n_classes, context_features=n_context, gated=True
        )
        self.groups, self.dropout = groups, dropout

    def forward(self, x: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> Tensor:
        h = elu(self.first(elu(x), at))
        if self.training:
            h = F.dropout(h, self.dropout)
        return x + gate(self.second(h, at, y, s), self.groups, squashed=False)


class SnailBlock(nn.Module):
    """A block (figure 5, right): gated blocks, attention to all earlier pixels, and both mixed by 1x1 convolutions."""

    def __init__(
        self,
        image_channels: int,
        groups: int,
        n_res: int,
        hidden: int,
        heads: int,
        key_size: int,
        value_size: int,
        dropout: float,
        n_classes: int | None,
        n_context: int | None,
    ) -> None:
        super().__init__()
        self.gated = nn.ModuleList(GatedBlock(hidden, groups, dropout, n_classes, n_context) for _ in range(n_res))
        self.attention = CausalAttention(
            features=hidden,
            image_channels=image_channels,
            heads=heads,
            key_size=key_size,
            value_size=value_size,
            groups=groups,
        )
        self.of_features = CausalConv2d(hidden, hidden, 1, "B", groups)
        # What attention gives is of earlier pixels alone: every group may see all of it.
        self.of_attention = CausalConv2d(heads * value_size, hidden, 1, "B")
        self.mix = CausalConv2d(hidden, hidden, 1, "B", groups)

    def forward(self, x: Tensor, image: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> Tensor:
        for block in self.gated:
            x = block(x, at, y, s)
        seen = self.attention(x, image, at)
        both = elu(self.of_features(elu(x), at)) + elu(self.of_attention(elu(seen), at))
        return elu(self.mix(elu(both), at))


class PixelSNAIL(CausalNetwork):
    """PixelSNAIL: gated causal convolutions for what is near, attention for what is far. It has no blind spot.

    Input and output are those of :class:`~pixelcnn_lit.models.pixelcnn.PixelCNN`. The head is an ELU and a 1x1
    convolution.

    Args:
        image_channels: The channels C of the images.
        n_params: Parameters of the likelihood per pixel.
        groups: 1, or C for a likelihood that does not couple the channels.
        n_blocks: The number of blocks, each with attention.
        n_res: Gated residual blocks in each block.
        hidden: Features.
        first_kernel_size: Of the type A convolution, odd.
        heads: Heads of the attention.
        key_size: The size of a key, in each head.
        value_size: The size of a value, in each head.
        dropout: The probability of dropout in each residual block during training.
        n_classes: The number of classes for p(image | class), or None.
        context_encoder: For p(image | context), or None.

    >>> import torch
    >>> from pixelcnn_lit.models import PixelSNAIL
    >>> network = PixelSNAIL(image_channels=1, n_params=4, groups=1, n_blocks=2, n_res=1, hidden=8, first_kernel_size=3,
    ...                      heads=1, key_size=4, value_size=8, dropout=0.0, n_classes=None)
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
        n_blocks: int,
        n_res: int,
        hidden: int,
        first_kernel_size: int,
        heads: int,
        key_size: int,
        value_size: int,
        dropout: float,
        n_classes: int | None,
        context_encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__(context_encoder)
        self.embed = CausalConv2d(image_channels, hidden, first_kernel_size, "A", groups)
        given = n_classes, self.context_features
        self.blocks = nn.ModuleList(
            SnailBlock(image_channels, groups, n_res, hidden, heads, key_size, value_size, dropout, *given)
            for _ in range(n_blocks)
        )
        self.out = CausalConv2d(hidden, n_params, 1, "B", groups)

    def forward(
        self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        s = self.seen(context, x, at)
        image, x = x, self.embed(x, at)
        for block in self.blocks:
            x = x + block(x, image, at, y, s)
        return self.out(elu(x), at)
