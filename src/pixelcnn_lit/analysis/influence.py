"""What a pixel's conditional sees: the receptive field of a network, by gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelcnn_lit.density import Density


def influence(density: Density, size: tuple[int, int], draws: int = 8, seed: int = 0) -> Tensor:
    """How much the parameters of the centre pixel depend on each pixel: (H, W), 0 exactly where they do not.

    ``sum over draws and channels c of |d (v . params[:, H // 2, W // 2]) / d x[c, ., .]|``

    with an image x uniform in [0, 1], a class if there are any, and a direction v standard normal, anew in each draw:
    neither a ReLU that happens to be off nor parameters whose influences cancel hide a pixel from all of them, and one
    backward pass serves all parameters. What lies after the centre gives 0 for every causal network.

    van den Oord et al. (2016), arXiv 1606.05328, figure 1; Luo et al. (2016), arXiv 1701.04128, for the magnitudes.
    """
    weight = next(density.parameters())
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    x = torch.rand(draws, density.image_shape[0], height, width, generator=generator)
    x = x.to(weight.device, weight.dtype).requires_grad_()
    classes = {}
    if density.n_classes is not None:
        classes["y"] = torch.randint(density.n_classes, (draws,), generator=generator).to(weight.device)
    was_training = density.training
    density.eval()  # no dropout
    with torch.enable_grad():
        params = density.network(x, **classes)[:, :, height // 2, width // 2]
        directions = torch.randn(params.shape, generator=generator).to(params)
        (gradient,) = torch.autograd.grad((params * directions).sum(), x)
    density.train(was_training)
    return gradient.abs().sum((0, 1)).cpu()


def earlier(seen: Tensor) -> Tensor:
    """The pixels before the centre in raster order: (H, W) bool from a receptive field (H, W)."""
    height, width = seen.shape
    number = torch.arange(height * width).view(height, width)
    return number < (height // 2) * width + width // 2


def blind_spot(seen: Tensor) -> Tensor:
    """The earlier pixels within reach of the centre that it does not see: (H, W) bool from a receptive field (H, W).

    Within reach is what lies no further up, and no further to either side, than the furthest pixel that is seen.
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
    """How many earlier pixels are seen and missed, in words, from a receptive field (H, W)."""
    visible = int(((seen > 0) & earlier(seen)).sum())
    return f"sees {visible:,} pixels, misses {int(blind_spot(seen).sum()):,} in reach"
