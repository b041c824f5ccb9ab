"""A network from outside the package: a small PixelCNN with one layer of attention to all earlier pixels.

A convolution sees the pixels near by. Attention sees all pixels before it at once: Chen et al., "PixelSNAIL" (2018),
arXiv 1712.09763, mix the two, and this is the smallest network of that kind.

The file has everything that a network needs: a layer with a cache of its own, the network, its section of the config,
and the call that registers it. Name it on the command line, ``plugins=[attention_pixelcnn]``.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pixelcnn_lit import CausalConv2d, CausalLayer, CausalNetwork, Cursor, LayerCache, register_network
from pixelcnn_lit.config import DataConfig, LikelihoodConfig, NetworkConfig
from pixelcnn_lit.config.types import KernelSize


class SlicedCache(LayerCache):
    """The first step: the keys and values of all pixels so far, (N, H W, F), and attention to a slice of them.

    The slice grows from pixel to pixel. So the operations of a row are not those of the next row, and this cache is
    not recordable, which is the default.
    """

    def __init__(self, at: Cursor, features: int) -> None:
        self.at = at
        self.keys, self.values = (at.like.new_zeros(len(at.like), at.height * at.width, features) for _ in range(2))

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """Take the keys and values (N, L, F) of the L pixels of the known rows."""
        self.keys[:, : keys.shape[1]] = keys
        self.values[:, : values.shape[1]] = values

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Keep the key and value of the pixel at the cursor, and answer its query: all (N, F)."""
        position = self.at.row * self.at.width + self.at.column
        self.keys[:, position] = key
        self.values[:, position] = value
        seen = slice(position + 1)
        return F.scaled_dot_product_attention(query[:, None], self.keys[:, seen], self.values[:, seen])[:, 0]


class MaskedCache(SlicedCache):
    """The second step: attention to all positions of the image, those after the pixel masked.

    Now each row does the same operations on the same memory. What differs from row to row is written into that memory
    by ``start_row``, which is never recorded: where the row's pixels go, and what each of them may see.
    """

    recordable = True

    def __init__(self, at: Cursor, features: int) -> None:
        super().__init__(at, features)
        self.positions = torch.zeros(at.width, dtype=torch.long, device=at.like.device)
        self.masks = at.like.new_zeros(at.width, at.height * at.width)  # a row of 0 and -inf for each column
        self.position_at, self.mask_at = self.positions.split(1), self.masks.split(1)

    def start_row(self) -> None:
        """Write what the pixels of this row may see: the positions up to their own."""
        first = self.at.row * self.at.width
        torch.arange(first, first + self.at.width, out=self.positions)
        later = torch.arange(self.masks.shape[1], device=self.masks.device) > self.positions[:, None]
        self.masks.zero_().masked_fill_(later, -torch.inf)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        position, mask = self.position_at[self.at.column], self.mask_at[self.at.column]
        self.keys.index_copy_(1, position, key[:, None])
        self.values.index_copy_(1, position, value[:, None])
        return F.scaled_dot_product_attention(query[:, None], self.keys, self.values, attn_mask=mask)[:, 0]


class CausalAttention(CausalLayer):
    """Each pixel attends to itself and to all earlier ones, by features that are causal already.

    Shapes: (N, F, H, W) -> (N, F, H, W); with a cursor at a pixel (N, F) -> (N, F). It takes memory of O(N H W F).
    """

    def __init__(self, features: int, cache: type[SlicedCache] = MaskedCache) -> None:
        super().__init__()
        self.features, self.cache = features, cache
        self.project = CausalConv2d(features, 3 * features, 1, "B")

    def forward(self, x: Tensor, at: Cursor | None = None) -> Tensor:
        query, key, value = self.project(x, at).chunk(3, dim=1)
        if at is not None and at.stage == "pixel":
            return at.cache(self).attend(query, key, value)
        q, k, v = (part.flatten(2).transpose(1, 2) for part in (query, key, value))  # (N, H W, F)
        if at is not None:
            at.cache(self).fill(k, v)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)

    def new_cache(self, at: Cursor) -> SlicedCache:
        return self.cache(at, self.features)


class AttentionPixelCNN(CausalNetwork):
    """A type A convolution, a type B one, attention, and a head of 1x1 convolutions, each added to the stream.

    Input: an image in [0, 1], (N, C, H, W), and with ``n_classes`` the classes y (N,). Output: (N, n_params, H, W).
    Raises ValueError for ``groups`` other than 1: a query would mix the channels of a pixel.
    """

    cached_sampling = True

    def __init__(
        self,
        *,
        image_channels: int,
        n_params: int,
        groups: int,
        hidden: int,
        kernel_size: int,
        first_kernel_size: int,
        n_classes: int | None,
    ) -> None:
        if groups != 1:
            raise ValueError("its attention does not tell the channels of a pixel apart")
        super().__init__()
        self.embed = CausalConv2d(image_channels, hidden, first_kernel_size, "A")
        self.local = CausalConv2d(hidden, hidden, kernel_size, "B", n_classes=n_classes)
        self.attention = CausalAttention(hidden)
        self.mix = CausalConv2d(hidden, hidden, 1, "B")
        self.out = CausalConv2d(hidden, n_params, 1, "B")

    def forward(self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None) -> Tensor:
        h = self.embed(x, at)
        h = h + self.local(torch.relu(h), at, y)
        h = h + self.attention(h, at)
        h = h + self.mix(torch.relu(h), at)
        return self.out(torch.relu(h), at)


class AttentionPixelCNNConfig(NetworkConfig):
    """conf/model/attention_pixelcnn.yaml: each key, its type and its range."""

    hidden: Annotated[int, Field(ge=1, le=1024)]
    kernel_size: KernelSize
    first_kernel_size: Annotated[KernelSize, Field(ge=3)]

    def check_beside(self, data: DataConfig, likelihood: LikelihoodConfig) -> None:
        """Say the same as the network does, but before any data is read."""
        if data.image_shape[0] > 1 and likelihood.name == "categorical":
            raise ValueError(
                "likelihood=categorical: model=attention_pixelcnn does not tell the channels of a pixel apart; "
                "images in colour need likelihood=logistic_mixture"
            )


register_network("attention_pixelcnn", AttentionPixelCNN, AttentionPixelCNNConfig)
