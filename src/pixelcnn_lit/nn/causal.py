"""Causal convolutions: layers in which no pixel sees itself or a later pixel.

Every layer is called as ``layer(x, at)``. With ``at=None`` it computes whole images x (N, C, H, W). With a
:class:`~pixelcnn_lit.nn.cursor.Cursor` it computes the pixel that the sampler needs next, and caches its input. All
operations between causal layers (activations, gates, sums) are pointwise. So the same ``forward`` of a network serves
training, evaluation and sampling.

Layers with ``n_classes`` add a bias per class; ``y`` (N,) are the classes of the images. Layers with
``context_features`` add a bias per place, V s; ``s`` (N, S, H, W) are the features of the context. A cursor holds both
itself. van den Oord et al. (2016), arXiv 1606.05328, equations 4 and 5.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelcnn_lit.nn.contract import CausalLayer, LayerCache
from pixelcnn_lit.nn.cursor import Cursor, Window

MaskType = Literal["A", "B"]


class Convolution(CausalLayer):
    """The base of the causal convolutions: ``weight`` (out, in, *taps), ``bias`` (out,) and an optional class bias.

    The weights and the bias start uniform in +-1/sqrt(fan-in), as in torch.nn.Conv2d. The fan-in counts only the
    stored taps. The class bias starts at 0.

    Args:
        in_features: Features of the input, without the channel of ``marks_padding``.
        out_features: Features of the output.
        taps: The shape of the stored taps per pair of features: (taps,) or (rows, columns).
        looks_at_image: Whether the input is the image itself.
        dilation: The distance between neighbouring taps.
        stride: 1, or 2 for half the resolution.
        n_classes: The number of classes, or None for no class bias.
        context_features: S, the features of the context, or None for no context.
        marks_padding: Whether to add a channel to the image that is 1 inside it and 0 in the padding.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        taps: tuple[int, ...],
        *,
        looks_at_image: bool,
        dilation: int,
        stride: int,
        n_classes: int | None,
        context_features: int | None,
        marks_padding: bool,
    ) -> None:
        """Raise ValueError for a ``stride`` other than 1 with a context."""
        super().__init__()
        if context_features is not None and stride != 1:
            raise ValueError(f"a layer with context_features has stride 1, got {stride}")
        self.in_features, self.out_features = in_features + marks_padding, out_features
        self.looks_at_image, self.marks_padding = looks_at_image, marks_padding
        self.dilation, self.stride = dilation, stride
        self.weight = nn.Parameter(torch.empty(out_features, self.in_features, *taps))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.class_bias = None if n_classes is None else nn.Parameter(torch.zeros(n_classes, out_features))
        bound = 1 / math.sqrt(max(1, self.weight[0].numel()))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
        self.context_weight: nn.Parameter | None = None
        if context_features is not None:
            self.context_weight = nn.Parameter(torch.empty(out_features, context_features))
            nn.init.uniform_(self.context_weight, -1 / math.sqrt(context_features), 1 / math.sqrt(context_features))

    def dilations(self, rows: int) -> tuple[int, int]:
        """The dilation along rows and columns of a kernel with ``rows`` rows; a kernel of one row gets 1 along rows.

        With another value for one row, oneDNN's gradients in bfloat16 are wrong too, as those of dilated rows are.
        """
        return (self.dilation if rows > 1 else 1), self.dilation

    def convolve_image(self, x: Tensor, weight: Tensor, side: int) -> Tensor:
        """The convolution of x (N, in, H, W), with ``side`` columns of zeros on both sides and none above or below.

        In mixed precision it stays in float32 where bfloat16 does harm: if it looks at the image, which it would round
        to another image, or if oneDNN's gradients are suspect.
        """
        dilations = self.dilations(weight.shape[2])
        exact = torch.is_autocast_enabled(x.device.type) and (
            self.looks_at_image or (x.device.type == "cpu" and self._gradients_are_suspect(weight))
        )
        if not exact:
            return F.conv2d(x, weight, self.bias, self.stride, (0, side), dilations)
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x.float(), weight, self.bias, self.stride, (0, side), dilations)

    def _gradients_are_suspect(self, weight: Tensor) -> bool:
        # oneDNN 3.x, bfloat16 with AVX512-BF16 and without AMX, channels last: in the gradient of a weight with dilated
        # rows, the last block of 16 input features is read past its end where it is not full
        # (jit_avx512_core_bf16_conv_kernel.cpp, ic_tail). Its values are then wrong, infinite or NaN, with one thread
        # too: seen with torch 2.14.1 (oneDNN 3.12.0) on an AMD EPYC of the fourth generation.
        return self.dilation > 1 and weight.shape[2] > 1 and self.in_features % 16 != 0

    def marked(self, x: Tensor) -> Tensor:
        """x (N, C, H, W), with a further channel of ones if ``marks_padding``."""
        return F.pad(x, (0, 0, 0, 0, 0, 1), value=1) if self.marks_padding else x

    def window(self, at: Cursor) -> Window:
        """The window that holds the layer's input: the cursor's window on the image, or a new one."""
        if self.looks_at_image:
            return at.image
        return Window(at.like, self.rows_above, at.width, self.in_features)

    def finished(self, x: Tensor, y: Tensor | None, s: Tensor | None) -> Tensor:
        """Add the biases of the classes y (N,) and the context s, if the layer has them, to x (N, out, H, W).

        ``s`` (N, S, H or more, W) may go on below x. Raises ValueError if y or s is missing.
        """
        if self.class_bias is not None:
            x = x + self.class_bias[known_classes(y)][:, :, None, None]
        if self.context_weight is not None:
            x = x + F.conv2d(known_context(s)[:, :, : x.shape[2]], self.context_weight[:, :, None, None])
        # For images of one channel torch cannot infer the memory format; a network that mixes formats is twice as slow.
        return x.contiguous(memory_format=torch.channels_last)


class CausalConv2d(Convolution):
    """The masked convolution of PixelCNN: a convolution over the pixels above and to the left.

    ``out[o, r, c] = bias[o] + sum over i, (dr, dc) < (0, 0) in raster order of weight[o, i, dr, dc] x[i, r+dr, c+dc]``

    Type B adds the centre tap (0, 0). ``weight`` (out, in, taps) stores only these taps, flat in raster order. Masked
    taps cost nothing, except those to the right of the centre in its own row, which are multiplied as zeros.

    Shapes: (N, in, H, W) -> (N, out, H, W). ``stride`` 2 halves H and W, rounded up. With a cursor at a pixel:
    (N, in) -> (N, out).

    van den Oord et al., "Pixel Recurrent Neural Networks" (2016), arXiv 1601.06759, section 3.4.

    Args:
        in_features: Features of the input.
        out_features: Features of the output.
        kernel_size: k, odd, is the masked k x k convolution: k//2 rows above, k//2 columns to either side. (rows,
            columns) counts only rows that are not masked: rows - 1 above, columns//2 to the left. So (1, k) sees the
            current row only, and (2, 2) sees the pixel, the one to its left and the two above them.
        mask_type: "A" looks at the image and does not see the centre; "B" looks at features and sees the centre.
        groups: The features form this many groups (see :func:`channel_groups`), ordered like the channels R, G, B. At
            the centre, group g sees the groups before g (type A) or up to g (type B).
        dilation: The distance between neighbouring taps.
        stride: 1, or 2 for half the resolution.
        n_classes: The number of classes, for a bias per class.
        context_features: S, the features of the context, for a bias per place. Not for 1x1 convolutions.
        marks_padding: Whether to add a channel to the image that is 1 inside it and 0 in the padding.
        gated: Whether a :func:`gate` follows: then each group of the output consists of two halves.

    >>> import torch
    >>> from pixelcnn_lit import CausalConv2d
    >>> layer = CausalConv2d(1, 1, kernel_size=3, mask_type="A")
    >>> layer(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 1, 28, 28])
    >>> torch.nn.init.ones_(layer.weight).shape  # the four stored taps
    torch.Size([1, 1, 4])
    >>> layer.kernel()[0, 0].detach()
    tensor([[1., 1., 1.],
            [1., 0., 0.]])
    """

    centre_mask: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | tuple[int, int],
        mask_type: MaskType,
        groups: int = 1,
        *,
        dilation: int = 1,
        stride: int = 1,
        n_classes: int | None = None,
        context_features: int | None = None,
        marks_padding: bool = False,
        gated: bool = False,
    ) -> None:
        """Raise ValueError for an even ``kernel_size``, another ``mask_type``, a context in a 1x1 or strided layer."""
        if mask_type not in ("A", "B"):
            raise ValueError(f"mask_type must be 'A' or 'B', got {mask_type!r}")
        rows, columns = _rows_and_columns(kernel_size)
        sees_centre = mask_type == "B" or groups > 1
        if rows == columns == 1 and context_features is not None:
            raise ValueError("a 1x1 convolution takes no context_features")
        super().__init__(
            in_features,
            out_features,
            ((rows - 1) * columns + columns // 2 + sees_centre,),
            looks_at_image=mask_type == "A",
            dilation=dilation,
            stride=stride,
            n_classes=n_classes,
            context_features=context_features,
            marks_padding=marks_padding,
        )
        self.mask_type: MaskType = mask_type
        self.sees_centre = sees_centre
        self.above, self.left, self.right = rows - 1, columns // 2, columns - 1 - columns // 2
        self.rows_above = self.above * dilation
        mask = centre_mask(self.in_features, out_features, mask_type, groups, gated) if groups > 1 else None
        self.register_buffer("centre_mask", mask, persistent=False)

    @property
    def pointwise(self) -> bool:
        """Whether this is a 1x1 convolution, which sees only the pixel itself."""
        return not self.above and not self.left

    def extra_repr(self) -> str:
        size = f"kernel_size=({self.above + 1}, {self.left + self.right + 1})"
        return f"{self.in_features}, {self.out_features}, {size}, type {self.mask_type}"

    def causal_weight(self) -> Tensor:
        """The stored taps (out, in, taps), with zeros at the centre where a group must not see another one."""
        if self.centre_mask is None:
            return self.weight
        return torch.cat([self.weight[..., :-1], (self.weight[..., -1] * self.centre_mask)[..., None]], dim=-1)

    def kernel(self) -> Tensor:
        """The kernel (out, in, rows, columns) with its masked taps. A kernel of one row has no columns to the right."""
        weight = self.causal_weight()
        rows, columns = self.above + 1, self.left + 1 + (self.right if self.above else 0)
        weight = F.pad(weight, (0, rows * columns - weight.shape[-1]))
        weight = weight.view(self.out_features, self.in_features, rows, columns)
        return weight if self.pointwise else weight.contiguous(memory_format=torch.channels_last)

    def forward(
        self,
        x: Tensor,
        at: Cursor | None = None,
        y: Tensor | None = None,
        s: Tensor | None = None,
        *,
        residual: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The convolution of whole images, or with a cursor of the pixel there.

        Two arguments save copies in 1x1 convolutions. ``residual``, of the result's shape, is added to the result.
        ``out`` receives the result for a pixel: see :meth:`input_place`.
        """
        if at is None or at.stage == "known":
            if at is not None and not self.pointwise and not self.looks_at_image:
                at.cache(self).window.fill(x)
            result = self.whole(x, y, s) if at is None else self.whole(x, at.classes, at.context)
            return result if residual is None else result.add_(residual)
        cache: PixelCache = at.cache(self)
        if self.pointwise:
            if residual is not None:
                return torch.add(residual, cache.bias).addmm_(x, cache.weights[0])
            if out is not None:
                return torch.addmm(cache.bias, x, cache.weights[0], out=out)
            return torch.addmm(cache.bias, x, cache.weights[0])
        if not self.looks_at_image and x is not cache.pixels[at.column]:
            cache.pixels[at.column].copy_(x)
        skipped = at.row_modulo(self.stride) or at.column % self.stride
        return x if skipped else cache.read(at.column)

    def input_place(self, at: Cursor | None) -> Tensor | None:
        """The cache's memory for this pixel's input, (N, in), so that the layer before can write there directly.

        None without a cursor at a pixel, and for 1x1 convolutions, which have no such memory.
        """
        if at is None or at.stage != "pixel" or self.pointwise:
            return None
        place: Tensor = at.cache(self).pixels[at.column]
        return place

    def whole(self, x: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        """The convolution of whole images: (N, in, H, W) -> (N, out, H, W)."""
        x = self.marked(x)
        left, right = self.left * self.dilation, (self.right if self.above else 0) * self.dilation
        padding = left if left == right else 0
        around = left - padding, right - padding, self.above * self.dilation
        if any(around):
            x = F.pad(x, (*around, 0))
        return self.finished(self.convolve_image(x, self.kernel(), padding), y, s)

    def new_cache(self, at: Cursor) -> PixelCache:
        return PixelCache(self, at)


class PixelCache(LayerCache):
    """The cache of a causal convolution: its window, the sum over the rows above, and its weights as matrices."""

    recordable = True

    def __init__(self, layer: CausalConv2d, at: Cursor) -> None:
        self._layer, self._at = layer, at
        features, columns = layer.in_features, layer.left + layer.right + 1
        left = layer.causal_weight()[..., layer.above * columns :].permute(2, 1, 0)
        left = left.reshape(-1, layer.out_features).contiguous()
        self.weights = [left[skipped * features :] for skipped in range(layer.left + 1)]
        # Expanded here: a product that has to expand its bias takes a microsecond longer.
        bias = layer.bias if layer.class_bias is None else layer.bias + layer.class_bias[known_classes(at.classes)]
        self.bias = bias.expand(len(at.like), -1).contiguous()
        if layer.pointwise:
            return
        self.window = layer.window(at)
        row = self.window.row
        self.pixels = row.unbind(1)
        columns_out = range(0, at.width, layer.stride)
        self._taps = [self._tap_columns(column) for column in columns_out]
        if layer.dilation == 1:
            self._inputs = [row[:, taps.start : taps.stop].flatten(1) for taps in self._taps]
        else:
            gathered = [row.new_empty(len(row), count * features) for count in range(layer.left + 2)]
            self._inputs = [gathered[len(taps)] for taps in self._taps]
        self.above: tuple[Tensor, ...] | None = None
        if layer.above:
            height = self.window.past.shape[1]
            self._past = self.window.past[:, height - layer.rows_above :].permute(0, 3, 1, 2)
            self._kernel = layer.kernel()[:, :, :-1].contiguous(memory_format=torch.channels_last)
        if layer.above or layer.context_weight is not None:
            self._above = row.new_empty(row.shape[0], len(columns_out), layer.out_features)
            self.above = self._above.unbind(1)

    def _tap_columns(self, column: int) -> range:
        d = self._layer.dilation
        return range(column - min(self._layer.left, column // d) * d, column + self._layer.sees_centre, d)

    def start_row(self) -> None:
        """Scroll the window, and compute the biases and the sum over the rows above for the whole new row."""
        layer = self._layer
        if layer.pointwise:
            return
        if not layer.looks_at_image:
            self.window.scroll()
        if self.above is None or self._at.row_modulo(layer.stride):
            return
        share = self._place_bias()
        if layer.above:
            d = layer.dilation
            sides = layer.left * d, layer.right * d
            past, padding = (self._past, sides[0]) if sides[0] == sides[1] else (F.pad(self._past, sides), 0)
            rows = F.conv2d(past, self._kernel, None, layer.stride, (0, padding), d).permute(0, 2, 3, 1)[:, 0]
            torch.add(rows, share, out=self._above)
        else:
            self._above.copy_(share)

    def _place_bias(self) -> Tensor:
        """The bias at each column of the new row: (N, W, out), or with no context (N, 1, out)."""
        bias, weight = self.bias.unsqueeze(1), self._layer.context_weight
        if weight is None:
            return bias
        return bias + known_context(self._at.context)[:, :, self._at.row].transpose(1, 2) @ weight.t()

    def read(self, column: int) -> Tensor:
        """The result at a column, (N, out), from the pixels in the window up to this column."""
        layer = self._layer
        column //= layer.stride
        taps, x = self._taps[column], self._inputs[column]
        if layer.dilation > 1:
            torch.cat([self.pixels[tap] for tap in taps], dim=1, out=x)
        weight = self.weights[layer.left + layer.sees_centre - len(taps)]
        return torch.addmm(self.bias if self.above is None else self.above[column], x, weight)


def channel_groups(features: int, groups: int) -> Tensor:
    """The group of each feature, (features,): groups are consecutive, and as equal in size as possible.

    >>> channel_groups(8, 3)
    tensor([0, 0, 0, 1, 1, 1, 2, 2])
    """
    return torch.arange(features) * groups // features


def _rows_and_columns(kernel_size: int | tuple[int, int]) -> tuple[int, int]:
    """The rows and columns of a causal kernel: of a square one, those up to the current row."""
    if isinstance(kernel_size, int):
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
        return kernel_size // 2 + 1, kernel_size
    if not isinstance(kernel_size, tuple | list) or len(kernel_size) != 2:
        raise ValueError(f"kernel_size must be an odd number or (rows, columns), got {kernel_size!r}")
    return kernel_size[0], kernel_size[1]


def centre_mask(in_features: int, out_features: int, mask_type: MaskType, groups: int, gated: bool) -> Tensor:
    """The mask of the centre tap, (out, in): 1 where an output may see an input feature of the same pixel, else 0."""
    halves = 2 if gated else 1
    group_in = channel_groups(in_features, groups)[None]
    group_out = channel_groups(out_features // halves, groups).repeat_interleave(halves)[:, None]
    return (group_in < group_out if mask_type == "A" else group_in <= group_out).float()


def gate(x: Tensor, groups: int = 1, *, squashed: bool = True) -> Tensor:
    """``tanh(a) * sigmoid(b)``, where a and b are the two halves of each group: (N, 2F, ...) -> (N, F, ...).

    Without ``squashed`` it is ``a * sigmoid(b)``. van den Oord et al. (2016), arXiv 1606.05328, equation 2.
    """
    features = x.shape[1] // 2
    if features % groups == 0:
        halves = x.unflatten(1, (groups, 2, -1))
        a = halves[:, :, 0]
        return ((torch.tanh(a) if squashed else a) * torch.sigmoid(halves[:, :, 1])).flatten(1, 2)
    sizes = [int((channel_groups(features, groups) == group).sum()) for group in range(groups)]
    parts = x.split([size for size in sizes for _ in range(2)], dim=1)
    a = torch.cat(parts[::2], dim=1)
    return (torch.tanh(a) if squashed else a) * torch.sigmoid(torch.cat(parts[1::2], dim=1))


def known_classes(y: Tensor | None) -> Tensor:
    """The classes y (N,) as int64, for indexing. Raise ValueError if y is None."""
    if y is None:
        raise ValueError("a class-conditional network needs the classes y of the images")
    return y.long()


def known_context(s: Tensor | None) -> Tensor:
    """The features of the context s (N, S, H, W). Raise ValueError if s is None."""
    if s is None:
        raise ValueError("a network with a context needs the context of the images")
    return s
