"""Attention to all earlier pixels.

Chen et al., "PixelSNAIL: An Improved Autoregressive Generative Model" (2017), arXiv 1712.09763, figure 5.
Vaswani et al., "Attention Is All You Need" (2017), arXiv 1706.03762, section 3.2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn_lit.nn.contract import CausalLayer, LayerCache
from pixelcnn_lit.nn.cursor import Cursor


class CausalAttention(CausalLayer):
    """Each pixel i attends to the pixels before it. It sees neither itself nor a later pixel:

    ``out_i = sum over j < i of softmax_j(q_i . k_j / sqrt(key_size)) v_j``

    A query is a linear function of the features and coordinates of its pixel. Keys and values are linear functions of
    features, coordinates and the image: they belong to earlier pixels, whose levels are known. Besides, a pixel may
    attend to nothing: a key and a value of zeros come before those of the first pixel, whose result is 0 so.

    The coordinates are row / H - 1/2 and column / W - 1/2.

    Shapes: features (N, F, H, W) and the image (N, C, H, W) -> (N, heads * value_size, H, W). With a cursor at a pixel:
    (N, F) -> (N, heads * value_size).

    Training takes memory in proportion to H W, not its square, where torch has a kernel for it (flash attention).

    Args:
        features: F.
        image_channels: C.
        heads: The number of heads.
        key_size: The size of a key, in each head.
        value_size: The size of a value, in each head.
        groups: The features form this many groups (:func:`~pixelcnn_lit.nn.causal.channel_groups`). Only those of the
            first one make queries: the others see channels of the pixel itself, which its first channel must not.

    >>> import torch
    >>> layer = CausalAttention(features=8, image_channels=1, heads=2, key_size=4, value_size=6, groups=1)
    >>> out = layer(torch.rand(2, 8, 5, 5), torch.rand(2, 1, 5, 5))
    >>> out.shape, out[:, :, 0, 0].abs().max().item()
    (torch.Size([2, 12, 5, 5]), 0.0)
    """

    def __init__(
        self, *, features: int, image_channels: int, heads: int, key_size: int, value_size: int, groups: int
    ) -> None:
        super().__init__()
        self.features, self.image_channels = features, image_channels
        self.heads, self.key_size, self.value_size = heads, key_size, value_size
        self.query_features = -(-features // groups)  # those of group 0
        self.query = nn.Linear(self.query_features + 2, heads * key_size)
        self.key_value = nn.Linear(features + image_channels + 2, heads * (key_size + value_size))

    def extra_repr(self) -> str:
        return f"heads={self.heads}, key_size={self.key_size}, value_size={self.value_size}"

    def forward(self, x: Tensor, image: Tensor, at: Cursor | None = None) -> Tensor:
        if at is not None and at.stage == "pixel":
            cache: KeysAndValues = at.cache(self)
            return cache.attend(x)
        height, width = (x.shape[2], x.shape[3]) if at is None else (at.height, at.width)
        places = coordinates(height, width, x)[:, :, : x.shape[2]].expand(len(x), -1, -1, -1)
        query = self._in_heads(self._projected(self.query, x[:, : self.query_features], places))
        both = self._in_heads(self._projected(self.key_value, x, torch.cat([image, places], dim=1)))
        if at is not None:
            at.cache(self).fill(both)
        # After this shift by one, to see the places up to the own one is to see the pixels before: a plain causal mask.
        key, value = F.pad(both, (0, 0, 1, -1)).split([self.key_size, self.value_size], dim=-1)
        spare = max(0, self.value_size - self.key_size)
        # Zeros that give keys the size of values change no product, and flash attention asks for equal sizes.
        query, key = F.pad(query, (0, spare)), F.pad(key, (0, spare))
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self.scale)
        return out.transpose(2, 3).reshape(len(x), -1, *x.shape[2:]).contiguous(memory_format=torch.channels_last)

    @property
    def scale(self) -> float:
        """What products of queries and keys are multiplied with."""
        return 1 / math.sqrt(self.key_size)

    def _projected(self, linear: nn.Linear, x: Tensor, exact: Tensor) -> Tensor:
        """A 1x1 convolution of x and ``exact``: (N, F, H, W) and (N, E, H, W) -> (N, out, H, W)."""
        weight = linear.weight[:, :, None, None]
        # The image and the coordinates are in float32 in mixed precision too, which would round them to other ones.
        with torch.autocast(x.device.type, enabled=False):
            of_exact = F.conv2d(exact, weight[:, x.shape[1] :], linear.bias)
        return F.conv2d(x, weight[:, : x.shape[1]]) + of_exact

    def _in_heads(self, x: Tensor) -> Tensor:
        """(N, heads * S, H, W) -> (N, heads, H W, S), contiguous, as flash attention asks for."""
        return x.unflatten(1, (self.heads, -1)).flatten(3).transpose(2, 3).contiguous()

    def new_cache(self, at: Cursor) -> KeysAndValues:
        return KeysAndValues(self, at)


class KeysAndValues(LayerCache):
    """The cache of :class:`CausalAttention`: the keys and values of all pixels, so that a pixel takes one query.

    On a CPU a pixel multiplies with the places drawn before it alone. Each column has views of its own for that, which
    are made longer from row to row: a recording keeps the tensors, not their shapes. A CUDA graph keeps the shapes, so
    on other devices each pixel multiplies with all places, and a mask hides those that are not drawn yet.
    """

    recordable = True

    def __init__(self, layer: CausalAttention, at: Cursor) -> None:
        self._layer, self._at = layer, at
        like, n, places = at.like, len(at.like), at.height * at.width + 1
        # Place 0 is nothing, place 1 the first pixel. This order of the axes is that of the products below.
        self._keys = like.new_zeros(n * layer.heads, layer.key_size, places)
        self._values = like.new_zeros(n * layer.heads, places, layer.value_size)
        split = layer.query_features, layer.features + layer.image_channels
        self._query, self._query_place = (w.t().contiguous() for w in _parts(layer.query.weight, split[0]))
        self._both, self._both_place = (w.t().contiguous() for w in _parts(layer.key_value.weight, split[1]))
        self._coordinates = coordinates(at.height, at.width, like)[0].permute(1, 2, 0)
        self._query_bias = like.new_zeros(at.width, 1, layer.query.out_features)
        self._both_bias = like.new_zeros(at.width, 1, layer.key_value.out_features)
        self._grows = views_may_grow(like.device)
        self._hidden = like.new_zeros(at.width, 1, 1, 1 if self._grows else places)
        self._numbers = torch.arange(places, device=like.device)
        whole = self._keys, self._values, *like.new_empty(2, len(self._keys), 1, places)
        self._seen = [[part.view(part.shape) for part in whole] for _ in range(at.width)]
        self._place = torch.zeros(at.width, 1, dtype=torch.long, device=like.device)
        self._inputs = like.new_zeros(at.width, n, split[1])
        self._of_features = self._inputs[..., : layer.features].unbind(0)
        self._of_image = self._inputs[..., layer.features :].unbind(0)

    def fill(self, both: Tensor) -> None:
        """Keep the keys and values of the known pixels, (N, heads, pixels, key + value)."""
        keys, values = both.flatten(0, 1).split([self._layer.key_size, self._layer.value_size], dim=-1)
        self._keys[:, :, 1 : both.shape[2] + 1] = keys.transpose(1, 2)
        self._values[:, 1 : both.shape[2] + 1] = values

    def start_row(self) -> None:
        """Prepare what differs from row to row: coordinates, and which places are drawn."""
        at = self._at
        first = at.row * at.width
        places = self._coordinates[at.row][:, None]
        torch.add(places @ self._query_place, self._layer.query.bias, out=self._query_bias)
        torch.add(places @ self._both_place, self._layer.key_value.bias, out=self._both_bias)
        number = torch.arange(first, first + at.width, device=self._place.device)[:, None]
        self._place.copy_(number + 1)
        if self._grows:
            self._grow(first)
        else:
            self._hidden.copy_(torch.where(self._numbers <= number, 0.0, -torch.inf)[:, None, None])

    def _grow(self, first: int) -> None:
        """Let each column of a row see nothing, the ``first`` pixels of the rows above, and those to its left."""
        n = len(self._keys)
        for seen, (keys, values, scores, weights) in enumerate(self._seen, first + 1):
            keys.as_strided_((n, self._layer.key_size, seen), keys.stride())
            values.as_strided_((n, seen, self._layer.value_size), values.stride())
            for part in scores, weights:
                part.as_strided_((n, 1, seen), (seen, seen, 1))

    def attend(self, x: Tensor) -> Tensor:
        """The result for the pixel at the cursor: features (N, F) -> (N, heads * value_size)."""
        column, layer = self._at.column, self._layer
        self._of_features[column].copy_(x)
        query = torch.addmm(self._query_bias[column], x[:, : layer.query_features], self._query)
        query = query.view(-1, 1, layer.key_size)
        keys, values, scores, weights = self._seen[column]
        torch.baddbmm(self._hidden[column], query, keys, alpha=layer.scale, out=scores)
        torch.softmax(scores, -1, out=weights)
        return torch.bmm(weights, values).view(len(x), -1)

    def end_pixel(self) -> None:
        """Keep the key and the value of the pixel at the cursor, which is drawn now."""
        column = self._at.column
        self._of_image[column].copy_(self._at.image.row[:, column, : self._layer.image_channels])
        both = torch.addmm(self._both_bias[column], self._inputs[column], self._both)
        both = both.view(len(self._keys), 1, -1)
        self._keys.index_copy_(2, self._place[column], both[..., : self._layer.key_size].transpose(1, 2))
        self._values.index_copy_(1, self._place[column], both[..., self._layer.key_size :])


def views_may_grow(device: torch.device) -> bool:
    """Whether the views that a recording on this device keeps may get other shapes from row to row."""
    return device.type == "cpu"


def coordinates(height: int, width: int, like: Tensor) -> Tensor:
    """The coordinates of each pixel, row / H - 1/2 and column / W - 1/2: (1, 2, H, W), of the dtype of ``like``."""
    rows = torch.arange(height, device=like.device).to(like.dtype) / height - 0.5
    columns = torch.arange(width, device=like.device).to(like.dtype) / width - 0.5
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]


def _parts(weight: Tensor, first: int) -> tuple[Tensor, Tensor]:
    return weight[:, :first], weight[:, first:]
