"""Context: a map that every pixel may see, such as a grey or a small version of the image.

An encoder, which is not causal, turns the context h into features s = m(h) at the resolution of the image. Each block
of a network adds V s, a 1x1 convolution of them, to its features: a bias that depends on the place.

van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016), arXiv 1606.05328, section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ContextShape:
    """The shape of the contexts of a density: ``channels``, and by which ``factor`` they are smaller than the image.

    >>> from pixelcnn_lit.nn.context import ContextShape
    >>> ContextShape(channels=1, factor=4).of(28, 28)
    (1, 7, 7)
    """

    channels: int
    factor: int

    def of(self, height: int, width: int) -> tuple[int, int, int]:
        """(F, H', W') for images of (H, W). Raise ValueError if ``factor`` does not divide both."""
        if height % self.factor or width % self.factor:
            raise ValueError(f"images with a context {self.factor} times smaller cannot be {(height, width)}")
        return self.channels, height // self.factor, width // self.factor


class ResidualConv(nn.Module):
    """A residual block that is not causal: ``x + conv3x3(ELU(conv3x3(ELU(x))))``."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(F.elu(self.first(F.elu(x))))
        return x + residual


class ContextEncoder(nn.Module):
    """The map ``s = m(h)``: a 3x3 convolution, ``n_res`` residual blocks, a 1x1 convolution to the image's resolution.

    For a context that is ``factor`` times smaller, the last convolution gives each of the factor^2 pixels at a place of
    the context its own features (Shi et al., 2016, arXiv 1609.05158: pixel shuffle).

    Shapes: context (N, F, H', W') -> (N, features, H, W), cut at the bottom and the right to the ``size`` (H, W).

    >>> import torch
    >>> from pixelcnn_lit.nn.context import ContextEncoder, ContextShape
    >>> encoder = ContextEncoder(shape=ContextShape(channels=1, factor=4), features=8, n_res=1)
    >>> encoder(torch.rand(2, 1, 7, 7), (28, 28)).shape
    torch.Size([2, 8, 28, 28])
    """

    def __init__(self, *, shape: ContextShape, features: int, n_res: int) -> None:
        super().__init__()
        self.shape, self.features = shape, features
        self.embed = nn.Conv2d(shape.channels, features, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualConv(features) for _ in range(n_res)))
        self.grow = nn.Conv2d(features, features * shape.factor**2, 1)

    def forward(self, context: Tensor, size: tuple[int, int]) -> Tensor:
        # In mixed precision too, the context is seen as it is: bfloat16 would round it to another one.
        with torch.autocast(context.device.type, enabled=False):
            x = self.embed(context)
        x = F.elu(self.grow(F.elu(self.blocks(x))))
        x = F.pixel_shuffle(x, self.shape.factor)[:, :, : size[0], : size[1]]
        return x.contiguous(memory_format=torch.channels_last)


def one_hot(codes: Tensor, n_codes: int) -> Tensor:
    """A map of codes (N, 1, h, w) as a context: a channel for each code, 1 where it stands, (N, n_codes, h, w)."""
    return F.one_hot(codes[:, 0].long(), n_codes).movedim(-1, 1).float()


def halved(s: Tensor | None) -> Tensor | None:
    """Features of the context at half the resolution: those of the pixels (2R, 2C). None stays None.

    A mean over four pixels would differ at the last row of a part of an image, which a sampler may compute.
    """
    return None if s is None else s[:, :, ::2, ::2]
