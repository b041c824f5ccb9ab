"""The receptive field of a network, measured by gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelcnn_lit.density import Density


def influence(density: Density, size: tuple[int, int], draws: int = 8, seed: int = 0) -> Tensor:
    """How much the parameters of the centre pixel depend on each pixel: (H, W), exactly 0 where they do not.

    ``sum over draws and channels c of |d (v . params[:, H // 2, W // 2]) / d x[c, ., .]|``

    Each draw has a new image x, uniform in [0, 1], a new direction v, standard normal, and a new class, scan, context
    where there are any; a scan sees a turned image in raster order. Of codes, x are the vectors that the network sees.
    With several draws, an inactive ReLU or parameters that cancel do not hide a pixel. Pixels after the centre give 0.

    Raises ValueError if there are no contexts for images of that size.

    van den Oord et al. (2016), arXiv 1606.05328, figure 1; Luo et al. (2016), arXiv 1701.04128, for the magnitudes.

    >>> from pixelcnn_lit import build
    >>> density = build(["model.n_res=0", "model.hidden=8", "model.first_kernel_size=3"])
    >>> (influence(density, size=(5, 5)) > 0).int()
    tensor([[0, 0, 0, 0, 0],
            [0, 1, 1, 1, 0],
            [0, 1, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0]], dtype=torch.int32)
    """
    weight, raster = next(density.parameters()), density.raster()
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    x = torch.rand(draws, density.inputs.features * density.image_shape[0], height, width, generator=generator)
    x = x.to(weight.device, weight.dtype).requires_grad_()
    y = context = None
    if raster.n_classes is not None:
        y = torch.randint(raster.n_classes, (draws,), generator=generator).to(weight.device)
    if raster.context_shape is not None:
        context = torch.rand(draws, *raster.context_shape.of(height, width), generator=generator).to(weight)
    was_training = density.training
    density.eval()  # no dropout
    with torch.enable_grad():
        params = density.network(x, **raster.given(y, context))[:, :, height // 2, width // 2]
        directions = torch.randn(params.shape, generator=generator).to(params)
        (gradient,) = torch.autograd.grad((params * directions).sum(), x)
    density.train(was_training)
    return gradient.abs().sum((0, 1)).cpu()


def earlier(seen: Tensor) -> Tensor:
    """A mask, (H, W) bool, of the pixels before the centre of a receptive field (H, W) in raster order."""
    height, width = seen.shape
    number = torch.arange(height * width).view(height, width)
    return number < (height // 2) * width + width // 2


def blind_spot(seen: Tensor) -> Tensor:
    """The blind spot of a receptive field (H, W): a mask of earlier pixels in reach that are not seen, (H, W) bool.

    A pixel is in reach if some seen pixel is at least as far up, and some seen pixel at least as far to the side.
    """
    visible = (seen > 0) & earlier(seen)
    if not visible.any():
        return visible
    height, width = seen.shape
    up = (height // 2 - torch.arange(height))[:, None].expand_as(seen)
    aside = (torch.arange(width) - width // 2).abs().expand_as(seen)
    in_reach = (up <= up[visible].max()) & (aside <= aside[visible].max())
    return earlier(seen) & in_reach & ~visible


def summary(seen: Tensor) -> str:
    """A text with the numbers of seen and missed pixels of a receptive field (H, W)."""
    visible = int(((seen > 0) & earlier(seen)).sum())
    return f"sees {visible:,} pixels, misses {int(blind_spot(seen).sum()):,} in reach"
