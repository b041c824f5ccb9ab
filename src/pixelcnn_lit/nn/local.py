"""Locally masked convolutions: each pixel has a mask of its own, so that pixels may be drawn in any order."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn_lit.nn.causal import MaskType, centre_mask, known_classes, known_context
from pixelcnn_lit.nn.contract import CausalLayer, LayerCache
from pixelcnn_lit.nn.cursor import Cursor
from pixelcnn_lit.nn.order import Kernel, Order


class LocallyMaskedConv2d(CausalLayer):
    """A convolution whose taps count where they come earlier in the order of the pixels:

    ``out[o, p] = bias[o] + sum over taps t that p sees of (mask_weight[o, t] + weight[o, t] . x[p + t])``

    A tap is seen if its pixel is in the image, and its rank is less than that of p; type B sees p itself too. The
    ``mask_weight`` lets a pixel tell a level of 0 from a pixel that it does not see.

    Shapes: (N, in, H, W) -> (N, out, H, W). With a cursor at a pixel: (N, in) -> (N, out).

    Jain et al., "Locally Masked Convolution for Autoregressive Models" (2020), arXiv 2006.12486, section 3.

    Args:
        in_features: Features of the input.
        out_features: Features of the output.
        kernel_size: k, odd: a pixel looks at k x k places.
        mask_type: "A" looks at the image and does not see the centre; "B" looks at features and sees the centre.
        groups: The features form this many groups. At the centre, group g sees the groups before g (type A) or up to g.
        n_classes: The number of classes, for a bias per class.
        context_features: S, the features of the context, for a bias per place.

    >>> import torch
    >>> from pixelcnn_lit.nn.local import LocallyMaskedConv2d
    >>> from pixelcnn_lit.nn.order import Order
    >>> layer = LocallyMaskedConv2d(1, 1, kernel_size=3, mask_type="A")
    >>> last_first = Order(torch.arange(16).flip(0).view(1, 4, 4))
    >>> layer(torch.rand(2, 1, 4, 4), last_first).shape
    torch.Size([2, 1, 4, 4])
    """

    centre_mask: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        groups: int = 1,
        *,
        n_classes: int | None = None,
        context_features: int | None = None,
    ) -> None:
        """The weights start uniform in +-1/sqrt(fan-in). Raise ValueError for an even ``kernel_size``."""
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
        self.in_features, self.out_features = in_features, out_features
        self.kernel = Kernel(kernel_size, centre=mask_type == "B" or groups > 1)
        self.sees_image = mask_type == "A"
        taps = kernel_size**2
        # Half of the taps are seen, in the mean over places and orders.
        bound = 1 / math.sqrt(in_features * (taps + 1) / 2)
        self.weight = nn.Parameter(torch.empty(out_features, taps, in_features).uniform_(-bound, bound))
        self.mask_weight = nn.Parameter(torch.zeros(out_features, taps))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))
        self.class_bias = None if n_classes is None else nn.Parameter(torch.zeros(n_classes, out_features))
        self.context_weight: nn.Parameter | None = None
        if context_features is not None:
            self.context_weight = nn.Parameter(torch.empty(out_features, context_features))
            nn.init.uniform_(self.context_weight, -1 / math.sqrt(context_features), 1 / math.sqrt(context_features))
        mask = centre_mask(in_features, out_features, mask_type, groups, gated=False) if groups > 1 else None
        self.register_buffer("centre_mask", mask, persistent=False)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, kernel_size={self.kernel.size}, {self.kernel.centre=}"

    def matrix(self) -> Tensor:
        """The weight as a matrix (taps * in, out), with zeros where a group must not see another one of its pixel."""
        weight: Tensor = self.weight
        if self.centre_mask is not None:
            at_centre = torch.arange(weight.shape[1], device=weight.device) == weight.shape[1] // 2
            weight = weight * torch.where(at_centre[None, :, None], self.centre_mask[:, None], 1)
        return weight.flatten(1).t()

    def forward(
        self, x: Tensor, order: Order, at: Cursor | None = None, y: Tensor | None = None, s: Tensor | None = None
    ) -> Tensor:
        """The convolution of whole images in this order, or with a cursor of the pixel there."""
        if at is None:
            return self.whole(x, order, y, s)
        cache: PlaceCache = at.cache(self)
        if at.stage == "known":
            cache.fill(x)
            return self.whole(x, order, at.classes, at.context)
        return cache.read(x)

    def whole(self, x: Tensor, order: Order, y: Tensor | None, s: Tensor | None) -> Tensor:
        """The convolution of whole images: (N, in, H, W) -> (N, out, H, W)."""
        bits, mixed = order.visible(self.kernel).to(x.dtype), torch.is_autocast_enabled(x.device.type)
        # An image is in float32 in mixed precision too, which would round it to another image.
        with torch.autocast(x.device.type, enabled=mixed and not self.sees_image):
            out = self._taps(x, bits) + bits @ self.mask_weight.t() + self.bias
        if self.class_bias is not None:
            out = out + self.class_bias[known_classes(y)][:, None, None]
        if self.context_weight is not None:
            out = out + known_context(s).permute(0, 2, 3, 1) @ self.context_weight.t()
        return out.permute(0, 3, 1, 2)

    def _taps(self, x: Tensor, bits: Tensor) -> Tensor:
        """The sum over the taps that are seen, (N, H, W, out), as one product of matrices."""
        (height, width), k = x.shape[2:], self.kernel.size
        around = F.pad(x.permute(0, 2, 3, 1), (0, 0, *[k // 2] * 4))
        taps = [
            around[:, row : row + height, column : column + width] * bits[..., k * row + column, None]
            for row in range(k)
            for column in range(k)
        ]
        return torch.cat(taps, dim=-1) @ self.matrix()

    def new_cache(self, at: Cursor) -> PlaceCache:
        return PlaceCache(self, at)


class PlaceCache(LayerCache):
    """The cache of a locally masked convolution: its input at each place, of which a pixel reads its neighbours."""

    recordable = True

    def __init__(self, layer: LocallyMaskedConv2d, at: Cursor) -> None:
        assert at.order is not None
        self._layer, self._at = layer, at
        n, taps = len(at.like), layer.kernel.size**2
        self._kept = at.like.new_zeros(n * (at.height * at.width + 1), layer.in_features)
        self._near = at.order.neighbours(layer.kernel, n)
        self._gathered = at.like.new_zeros(n * taps, layer.in_features)
        self._seen = self._gathered.view(n, taps * layer.in_features)
        self._matrix = layer.matrix().contiguous()
        self._mask_weight = layer.mask_weight.t().contiguous()
        self._bias = at.like.new_zeros(at.width, n, layer.out_features)
        self._own, self._index, self._bias_at = (
            part.unbind(0) for part in (self._near.own, self._near.index, self._bias)
        )

    def fill(self, x: Tensor) -> None:
        """Keep the input at all places, x (N, in, H, W). What is not drawn yet is not looked at."""
        self._kept.view(len(x), -1, x.shape[1])[:, :-1].copy_(x.flatten(2).transpose(1, 2))

    def start_row(self) -> None:
        """Find the neighbours of the row's pixels, and add up all biases."""
        layer, near = self._layer, self._near
        near.move_to(self._at.row)
        torch.add(near.bits.to(self._bias.dtype) @ self._mask_weight, layer.bias, out=self._bias)
        if layer.class_bias is not None:
            self._bias += layer.class_bias[known_classes(self._at.classes)]
        if layer.context_weight is not None:
            context = known_context(self._at.context).flatten(2)
            images = torch.arange(len(context), device=context.device)
            self._bias += context[images, :, near.places] @ layer.context_weight.t()

    def read(self, x: Tensor) -> Tensor:
        """Keep the input x (N, in) of the pixel at the cursor, and return the result for it."""
        column = self._at.column
        if self._layer.kernel.centre:
            self._kept.index_copy_(0, self._own[column], x)
        torch.index_select(self._kept, 0, self._index[column], out=self._gathered)
        return torch.addmm(self._bias_at[column], self._seen, self._matrix)

    def end_pixel(self) -> None:
        """Keep the pixel itself, which is drawn now, if the layer looks at the image."""
        if self._layer.sees_image:
            column = self._at.column
            self._kept.index_copy_(0, self._own[column], self._at.image.row[:, column, : self._layer.in_features])
