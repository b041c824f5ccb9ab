"""Random holes in images, which a network of any order is trained to fill: rectangles, strokes, scattered pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def random_known(n: int, height: int, width: int, generator: torch.Generator | None = None) -> Tensor:
    """Masks of images with a random hole, each of a random kind: (n, H, W) bool, True where a pixel is known.

    A hole may be empty or the whole image. ``generator`` is one of the CPU; None is torch's global one.

    >>> import torch
    >>> from pixelcnn_lit.holes import random_known
    >>> random_known(2, 4, 6, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 4, 6])
    """
    kinds = torch.stack([make(n, height, width, generator) for make in (rectangles, strokes, scattered)])
    kind = torch.randint(len(kinds), (n,), generator=generator)
    return ~kinds[kind, torch.arange(n)]


def rectangles(n: int, height: int, width: int, generator: torch.Generator | None = None) -> Tensor:
    """A rectangle in each image, of sides uniform in 1..H and 1..W: (n, H, W) bool, True inside."""
    inside = []
    for length in (height, width):
        side = torch.randint(1, length + 1, (n, 1), generator=generator)
        first = (torch.rand(n, 1, generator=generator) * (length - side + 1)).long()
        place = torch.arange(length)
        inside.append((place >= first) & (place < first + side))
    return inside[0][:, :, None] & inside[1][:, None, :]


def strokes(n: int, height: int, width: int, generator: torch.Generator | None = None, segments: int = 3) -> Tensor:
    """A line of straight ``segments`` in each image, up to a third of its shorter side wide: (n, H, W) bool."""
    scale = torch.tensor([height, width], dtype=torch.float)
    corners = torch.rand(n, segments + 1, 2, generator=generator) * scale - 0.5
    reach = 0.5 + torch.rand(n, generator=generator) * min(height, width) / 6
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=-1).float()
    begin, along = corners[:, :-1, None, None], corners.diff(dim=1)[:, :, None, None]
    share = ((places - begin) * along).sum(-1) / along.square().sum(-1).clamp(min=1e-9)
    nearest = begin + share.clamp(0, 1)[..., None] * along
    return ((places - nearest).norm(dim=-1) < reach[:, None, None, None]).any(1)


def scattered(n: int, height: int, width: int, generator: torch.Generator | None = None) -> Tensor:
    """Single pixels, as many as a share uniform in 0..1 of each image: (n, H, W) bool."""
    share = torch.rand(n, 1, 1, generator=generator)
    return torch.rand(n, height, width, generator=generator) < share
