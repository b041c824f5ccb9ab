"""PixelCNN++: Salimans et al. (2017), arXiv 1701.05517, figure 2; the layers are those of the authors' code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.cursor import Cursor
from pixelcnn_lit.nn.multiscale import Grow, HalvedPixels, HalvedRows
from pixelcnn_lit.nn.vertical import RowsAbove, VerticalConv2d

Conv = Callable[..., nn.Module]


def downward(in_features: int, out_features: int, size: tuple[int, int] = (2, 3), **options: int | None) -> nn.Module:
    """A convolution of the stream that sees the rows above: two rows of three columns."""
    return weight_norm(VerticalConv2d(in_features, out_features, size, **options))  # type: ignore[arg-type]


def rightward(in_features: int, out_features: int, size: tuple[int, int] = (2, 2), **options: int | None) -> nn.Module:
    """A convolution of the stream that sees the pixels to the left too: two rows of two columns."""
    return weight_norm(CausalConv2d(in_features, out_features, size, "B", **options))  # type: ignore[arg-type]


def concat_elu(x: Tensor) -> Tensor:
    """The ELU of x and of -x: (N, F, ...) -> (N, 2F, ...)."""
    return F.elu(torch.cat([x, -x], dim=1))


class GatedResnet(nn.Module):
    """Two convolutions around a shortcut ``a`` of ``aux`` features, dropout and a gate, plus the input:

    ``c1 = conv(f(x)) + nin(f(a));  (b, g) = conv(dropout(f(c1))) + bias of the class;  x + b sigmoid(g)``

    where f is the concatenated ELU and nin a 1x1 convolution.
    """

    def __init__(self, conv: Conv, hidden: int, aux: int, dropout: float, n_classes: int | None) -> None:
        super().__init__()
        self.first = conv(2 * hidden, hidden)
        self.nin = conv(2 * aux, hidden, (1, 1)) if aux else None
        self.second = conv(2 * hidden, 2 * hidden, n_classes=n_classes)
        self.dropout = dropout

    def forward(self, x: Tensor, a: Tensor | None, at: Cursor | None, y: Tensor | None) -> Tensor:
        h = self.first(concat_elu(x), at)
        if self.nin is not None and a is not None:
            h = h + self.nin(concat_elu(a), at)
        h = concat_elu(h)
        if self.training:
            h = F.dropout(h, self.dropout)
        b, g = self.second(h, at, y).chunk(2, dim=1)
        return x + b * torch.sigmoid(g)


class RowsLevel(nn.Module):
    """One resolution of the stream that sees the rows above, and within it the coarser ones: the U, seen recursively.

    On the way out, each block has the features of the way in beside it, the last ones first.
    """

    def __init__(self, resolutions: int, n_res: int, hidden: int, dropout: float, n_classes: int | None) -> None:
        super().__init__()
        way_out = n_res + (resolutions > 1)
        self.way_in = nn.ModuleList(GatedResnet(downward, hidden, 0, dropout, n_classes) for _ in range(n_res))
        self.way_out = nn.ModuleList(GatedResnet(downward, hidden, hidden, dropout, n_classes) for _ in range(way_out))
        self.halved = None
        if resolutions > 1:
            inner = RowsLevel(resolutions - 1, n_res, hidden, dropout, n_classes)
            self.halved = HalvedRows(
                downward(hidden, hidden, stride=2), inner, weight_norm(Grow(hidden, hidden, 3), dim=1)
            )

    def forward(self, v: Tensor, at: Cursor | None, y: Tensor | None) -> tuple[Tensor, list[list[Tensor]]]:
        """v -> the features that leave this level; and those of each block, of this level and of the coarser ones."""
        shortcuts, features, inside = [v], [], []
        for block in self.way_in:
            v = block(v, None, at, y)
            shortcuts.append(v)
            features.append(v)
        if self.halved is None:
            shortcuts.pop()
        else:
            v, inside = self.halved(v, at, y)
        for block in self.way_out:
            v = block(v, shortcuts.pop(), at, y)
            features.append(v)
        return v, [features, *inside]


class RowsStream(RowsAbove):
    """All that the other stream takes from the rows above."""

    def __init__(
        self, image_channels: int, resolutions: int, n_res: int, hidden: int, dropout: float, n_classes: int | None
    ) -> None:
        super().__init__()
        self.embed = weight_norm(
            VerticalConv2d(image_channels, hidden, (2, 3), looks_at_image=True, marks_padding=True)
        )
        self.level = RowsLevel(resolutions, n_res, hidden, dropout, n_classes)

    def rows(self, x: Tensor, at: Cursor | None, y: Tensor | None) -> list[list[Tensor]]:
        features: list[list[Tensor]] = self.level(self.embed(x, at), at, y)[1]
        return features


class PixelsLevel(nn.Module):
    """One resolution of the stream that sees the pixels to the left too. Each block sees that of the other stream."""

    def __init__(self, resolutions: int, n_res: int, hidden: int, dropout: float, n_classes: int | None) -> None:
        super().__init__()
        way_out = n_res + (resolutions > 1)
        self.way_in = nn.ModuleList(GatedResnet(rightward, hidden, hidden, dropout, n_classes) for _ in range(n_res))
        self.way_out = nn.ModuleList(
            GatedResnet(rightward, hidden, 2 * hidden, dropout, n_classes) for _ in range(way_out)
        )
        self.halved = None
        if resolutions > 1:
            inner = PixelsLevel(resolutions - 1, n_res, hidden, dropout, n_classes)
            self.halved = HalvedPixels(
                rightward(hidden, hidden, stride=2), inner, weight_norm(Grow(hidden, hidden, 2), dim=1)
            )

    def forward(self, h: Tensor, above: list[list[Tensor]], at: Cursor | None, y: Tensor | None) -> Tensor:
        shortcuts, rows = [h], iter(above[0])
        for block in self.way_in:
            h = block(h, next(rows), at, y)
            shortcuts.append(h)
        if self.halved is None:
            shortcuts.pop()
        else:
            h = self.halved(h, above[1:], at, y)
        for block in self.way_out:
            h = block(h, torch.cat([next(rows), shortcuts.pop()], dim=1), at, y)
        return h


class PixelCNNpp(CausalNetwork):
    """Two streams through a U of ``resolutions`` levels, each of ``n_res`` blocks on the way in and on the way out.

    Input and output are those of :class:`~pixelcnn_lit.models.pixelcnn.PixelCNN`, but the network does not tell the
    channels of a pixel apart: it needs a likelihood that couples them, or images of one channel. The authors' two
    convolutions of the image that see the row above and the pixel before are one here, of the same four taps.
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
    ) -> None:
        """Raise ValueError for ``groups`` other than 1."""
        super().__init__()
        if groups != 1:
            raise ValueError(
                "PixelCNN++ needs a likelihood that couples the channels of a pixel, such as LogisticMixture"
            )
        self.above = RowsStream(image_channels, resolutions, n_res, hidden, dropout, n_classes)
        self.embed = weight_norm(CausalConv2d(image_channels, hidden, 3, "A", marks_padding=True))
        self.level = PixelsLevel(resolutions, n_res, hidden, dropout, n_classes)
        self.out = rightward(hidden, n_params, (1, 1))

    def forward(self, x: Tensor, at: Cursor | None = None, y: Tensor | None = None) -> Tensor:
        above = self.above(x, at, y)
        h = self.level(self.embed(x, at), above, at, y)
        return self.out(F.elu(h), at)

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Scale and shift each layer so that its outputs on the images x have mean 0 and variance 1, 0.01 at the gates.

        The data-dependent initialisation of weight normalisation, Salimans and Kingma (2016), arXiv 1602.07868.
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
            self(x, y=y)
        finally:
            self.train(was_training)
            for hook in hooks:
                hook.remove()
