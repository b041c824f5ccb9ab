"""PixelCNN++: Salimans et al. (2017), arXiv 1701.05517, figure 2. The layers follow the authors' code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from pixelcnn_lit.nn.activations import concat_elu, elu
from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.context import ContextEncoder
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor
from pixelcnn_lit.nn.multiscale import Grow, HalvedPixels, HalvedRows
from pixelcnn_lit.nn.vertical import RowsAbove, VerticalConv2d

Conv = Callable[..., nn.Module]


def downward(in_features: int, out_features: int, size: tuple[int, int] = (2, 3), **options: int | None) -> nn.Module:
    """A convolution of the stream that sees only the rows above: by default two rows and three columns."""
    return weight_norm(VerticalConv2d(in_features, out_features, size, **options))  # type: ignore[arg-type]


def rightward(in_features: int, out_features: int, size: tuple[int, int] = (2, 2), **options: int | None) -> nn.Module:
    """A convolution of the stream that also sees the pixels to the left: by default two rows and two columns."""
    return weight_norm(CausalConv2d(in_features, out_features, size, "B", **options))  # type: ignore[arg-type]


class GatedResnet(nn.Module):
    """A gated residual block with an extra input ``a`` of ``aux`` features (0: none):

    ``c1 = conv(f(x)) + nin(f(a));  (b, g) = conv(dropout(f(c1))) + biases;  result = x + b sigmoid(g)``

    f is the concatenated ELU, nin a 1x1 convolution. The biases are those of the class and the context.
    """

    def __init__(
        self, conv: Conv, hidden: int, aux: int, dropout: float, n_classes: int | None, n_context: int | None
    ) -> None:
        super().__init__()
        self.first = conv(2 * hidden, hidden)
        self.nin = conv(2 * aux, hidden, (1, 1)) if aux else None
        self.second = conv(2 * hidden, 2 * hidden, n_classes=n_classes, context_features=n_context)
        self.dropout = dropout

    def forward(self, x: Tensor, a: Tensor | None, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> Tensor:
        h = self.first(concat_elu(x), at)
        if self.nin is not None and a is not None:
            h = h + self.nin(concat_elu(a), at)
        h = concat_elu(h)
        if self.training:
            h = F.dropout(h, self.dropout)
        b, g = self.second(h, at, y, s).chunk(2, dim=1)
        return x + b * torch.sigmoid(g)


class RowsLevel(nn.Module):
    """One resolution of the stream that sees only the rows above. It contains the next coarser one: a recursive U.

    Each block on the way out also gets a feature map of the way in, in reverse order.
    """

    def __init__(
        self, resolutions: int, n_res: int, hidden: int, dropout: float, n_classes: int | None, n_context: int | None
    ) -> None:
        super().__init__()
        options = dropout, n_classes, n_context
        way_out = n_res + (resolutions > 1)
        self.way_in = nn.ModuleList(GatedResnet(downward, hidden, 0, *options) for _ in range(n_res))
        self.way_out = nn.ModuleList(GatedResnet(downward, hidden, hidden, *options) for _ in range(way_out))
        self.halved = None
        if resolutions > 1:
            inner = RowsLevel(resolutions - 1, n_res, hidden, *options)
            self.halved = HalvedRows(
                downward(hidden, hidden, stride=2), inner, weight_norm(Grow(hidden, hidden, 3), dim=1)
            )

    def forward(
        self, v: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Return the output of this level, and a list per resolution of the features of all its blocks."""
        shortcuts, features, inside = [v], [], []
        for block in self.way_in:
            v = block(v, None, at, y, s)
            shortcuts.append(v)
            features.append(v)
        if self.halved is None:
            shortcuts.pop()
        else:
            v, inside = self.halved(v, at, y, s)
        for block in self.way_out:
            v = block(v, shortcuts.pop(), at, y, s)
            features.append(v)
        return v, [features, *inside]


class RowsStream(RowsAbove):
    """The stream that sees only the rows above. It gives the other stream the features of each block."""

    def __init__(
        self,
        image_channels: int,
        resolutions: int,
        n_res: int,
        hidden: int,
        dropout: float,
        n_classes: int | None,
        n_context: int | None,
    ) -> None:
        super().__init__()
        self.embed = weight_norm(
            VerticalConv2d(image_channels, hidden, (2, 3), looks_at_image=True, marks_padding=True)
        )
        self.level = RowsLevel(resolutions, n_res, hidden, dropout, n_classes, n_context)

    def rows(self, x: Tensor, at: Cursor | None, y: Tensor | None, s: Tensor | None) -> list[list[Tensor]]:
        features: list[list[Tensor]] = self.level(self.embed(x, at), at, y, s)[1]
        return features


class PixelsLevel(nn.Module):
    """One resolution of the stream that also sees the pixels to the left. It contains the next coarser one.

    Each block also gets the features of the same block of the other stream, ``above``.
    """

    def __init__(
        self, resolutions: int, n_res: int, hidden: int, dropout: float, n_classes: int | None, n_context: int | None
    ) -> None:
        super().__init__()
        options = dropout, n_classes, n_context
        way_out = n_res + (resolutions > 1)
        self.way_in = nn.ModuleList(GatedResnet(rightward, hidden, hidden, *options) for _ in range(n_res))
        self.way_out = nn.ModuleList(GatedResnet(rightward, hidden, 2 * hidden, *options) for _ in range(way_out))
        self.halved = None
        if resolutions > 1:
            inner = PixelsLevel(resolutions - 1, n_res, hidden, *options)
            self.halved = HalvedPixels(
                rightward(hidden, hidden, stride=2), inner, weight_norm(Grow(hidden, hidden, 2), dim=1)
            )

    def forward(
        self, h: Tensor, above: list[list[Tensor]], at: Cursor | None, y: Tensor | None, s: Tensor | None
    ) -> Tensor:
        shortcuts, rows = [h], iter(above[0])
        for block in self.way_in:
            h = block(h, next(rows), at, y, s)
            shortcuts.append(h)
        if self.halved is None:
            shortcuts.pop()
        else:
            h = self.halved(h, above[1:], at, y, s)
        for block in self.way_out:
            h = block(h, torch.cat([next(rows), shortcuts.pop()], dim=1), at, y, s)
        return h


class PixelCNNpp(CausalNetwork):
    """PixelCNN++: two streams through a U-shaped network.

    Input and output are those of :class:`~pixelcnn_lit.models.pixelcnn.PixelCNN`, but the network does not separate the
    channels of a pixel. So it needs a likelihood that couples them, or images of one channel. The authors' first layer
    of the second stream is a sum of two convolutions; here it is one convolution with the same four taps.

    Args:
        image_channels: The channels of the images.
        n_params: Parameters of the likelihood per pixel.
        groups: Must be 1.
        n_res: Blocks per resolution on the way in; the way out has as many, and one more except at the coarsest.
        hidden: Features of each stream.
        resolutions: The number of resolutions, each half of the one before.
        dropout: The probability of dropout in each block during training.
        n_classes: The number of classes for p(image | class), or None.
        context_encoder: For p(image | context), or None.

    >>> import torch
    >>> from pixelcnn_lit.models import PixelCNNpp
    >>> network = PixelCNNpp(image_channels=3, n_params=100, groups=1, n_res=1, hidden=8, resolutions=2, dropout=0.5,
    ...                      n_classes=None)
    >>> network(torch.rand(2, 3, 8, 8)).shape
    torch.Size([2, 100, 8, 8])
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
        resolutions: int,
        dropout: float,
        n_classes: int | None,
        context_encoder: ContextEncoder | None = None,
    ) -> None:
        """Raise ValueError if ``groups`` is not 1."""
        super().__init__(context_encoder)
        if groups != 1:
            raise ValueError(
                "PixelCNN++ needs a likelihood that couples the channels of a pixel, such as LogisticMixture"
            )
        options = resolutions, n_res, hidden, dropout, n_classes, self.context_features
        self.above = RowsStream(image_channels, *options)
        self.embed = weight_norm(CausalConv2d(image_channels, hidden, 3, "A", marks_padding=True))
        self.level = PixelsLevel(*options)
        self.out = rightward(hidden, n_params, (1, 1))

    def forward(
        self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        s = self.seen(context, x, at)
        above = self.above(x, at, y, s)
        h = self.level(self.embed(x, at), above, at, y, s)
        return self.out(elu(h), at)

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> None:
        """Scale and shift each layer so that its outputs on the images x have mean 0 and variance 1.

        The last layer of each block gets variance 0.01. This is the data-dependent initialisation of weight
        normalisation: Salimans and Kingma (2016), arXiv 1602.07868.
        """
        gates = {block.second for block in self.modules() if isinstance(block, GatedResnet)}

        def standardise(layer: Any, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
            deviation, mean = torch.std_mean(out, dim=(0, 2, 3), unbiased=False)
            scale = (0.1 if layer in gates else 1.0) / deviation.clamp_min(1e-5)
            gain = layer.parametrizations.weight.original0
            gain.mul_(scale.view_as(gain))
            layer.bias.sub_(mean).mul_(scale)
            return (out - mean[:, None, None]) * scale[:, None, None]

        layers = [module for module in self.modules() if hasattr(module, "parametrizations")]
        hooks = [layer.register_forward_hook(standardise) for layer in layers]
        was_training = self.training
        self.eval()
        try:
            self(x, y=y, context=context)
        finally:
            self.train(was_training)
            for hook in hooks:
                hook.remove()
