"""Scans: the raster orders that begin at a corner and go by rows or by columns, as flips and a transpose of the image.

A raster network follows another scan if it gets the image turned, so that the scan's first pixel is at the top left.

Jain et al., "Locally Masked Convolution for Autoregressive Models" (2020), arXiv 2006.12486, section 4: eight orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Scan(NamedTuple):
    """An order of pixels: from the bottom or the top, from the right or the left, by columns or by rows."""

    from_bottom: bool
    from_right: bool
    by_columns: bool

    @property
    def name(self) -> str:
        """In words.

        >>> from pixelcnn_lit.sampling.scans import SCANS
        >>> SCANS[0].name, SCANS[3].name
        ('rows from the top left', 'columns from the bottom right')
        """
        ways = "columns" if self.by_columns else "rows"
        return f"{ways} from the {'bottom' if self.from_bottom else 'top'} {'right' if self.from_right else 'left'}"

    def turn(self, x: Tensor) -> Tensor:
        """Turn images (..., H, W) so that the raster order of the result is this scan: (..., H, W) or (..., W, H)."""
        x = x.flip([axis for axis, flipped in ((-2, self.from_bottom), (-1, self.from_right)) if flipped])
        return x.mT if self.by_columns else x

    def turn_back(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`turn`."""
        x = x.mT if self.by_columns else x
        return x.flip([axis for axis, flipped in ((-2, self.from_bottom), (-1, self.from_right)) if flipped])

    def ranks(self, height: int, width: int, device: torch.device | None = None) -> Tensor:
        """The number of each pixel in this scan: (H, W).

        >>> from pixelcnn_lit.sampling.scans import SCANS
        >>> SCANS[6].ranks(2, 3)  # columns from the top right
        tensor([[4, 2, 0],
                [5, 3, 1]])
        """
        places = self.turn(torch.arange(height * width, device=device).view(height, width))
        return places.flatten().argsort().view(height, width)


SCANS = (
    Scan(from_bottom=False, from_right=False, by_columns=False),
    Scan(from_bottom=True, from_right=True, by_columns=False),
    Scan(from_bottom=False, from_right=False, by_columns=True),
    Scan(from_bottom=True, from_right=True, by_columns=True),
    Scan(from_bottom=False, from_right=True, by_columns=False),
    Scan(from_bottom=True, from_right=False, by_columns=False),
    Scan(from_bottom=False, from_right=True, by_columns=True),
    Scan(from_bottom=True, from_right=False, by_columns=True),
)
"""The first 1, 2, 4 or 8 are ``model.orders``: the raster; its reverse; so that any half can come first; all."""


def known_first(ranks: Tensor, known: Tensor) -> Tensor:
    """The order in which the known pixels come first, and otherwise as in ``ranks``: both (N, H, W) -> (N, H, W).

    >>> import torch
    >>> from pixelcnn_lit.sampling.scans import known_first
    >>> known_first(torch.tensor([[[0, 1], [2, 3]]]), torch.tensor([[[False, True], [False, True]]]))
    tensor([[[2, 0],
             [3, 1]]])
    """
    late = ranks + (~known) * (ranks.shape[1] * ranks.shape[2])
    return late.flatten(1).argsort(1).argsort(1).view(late.shape)


def turned(x: Tensor, order: Tensor, scans: Sequence[Scan], *, back: bool = False) -> Tensor:
    """Turn each image of x (N, ..., H, W) for its own scan ``scans[order[i]]``, or ``back``.

    Where H and W differ, either all of these scans go by rows or all by columns.
    """
    shape, square = (-1, *[1] * (x.dim() - 1)), x.shape[-2] == x.shape[-1]
    parts = [(number, scan) for number, scan in enumerate(scans) if square or bool((order == number).any())]
    result: Tensor | None = None
    for number, scan in parts:
        each = scan.turn_back(x) if back else scan.turn(x)
        result = each if result is None else torch.where((order == number).view(shape), each, result)
    assert result is not None
    return result.contiguous()


def alike(order: Tensor, scans: Sequence[Scan], size: tuple[int, int]) -> Iterator[Tensor]:
    """The numbers of the images that a network can compute together, since they have one size when turned."""
    if size[0] == size[1]:
        yield torch.arange(len(order), device=order.device)
        return
    columns = torch.tensor([scan.by_columns for scan in scans], device=order.device)[order]
    for part in (~columns, columns):
        if part.any():
            yield part.nonzero()[:, 0]


def leading(known: Tensor, scan: Scan) -> Tensor:
    """The known pixels that come before the first unknown one in this scan, turned: (N, H, W) bool."""
    seen = scan.turn(known)
    return seen.flatten(1).cummin(1).values.view(seen.shape)


def usable(known: Tensor, scans: Sequence[Scan]) -> Tensor:
    """Which scans complete an image, (N, len(scans)) bool, from masks (N, H, W), True where a pixel is known.

    They are those in which all known pixels come first. Where there is none, it is the one of ``scans`` in which most
    known pixels come before the first unknown one.
    """
    before = torch.stack([leading(known, scan).flatten(1).sum(1) for scan in scans], dim=1)
    fit = before == known.flatten(1).sum(1, keepdim=True)
    longest = torch.nn.functional.one_hot(before.argmax(1), len(scans)).bool()
    return torch.where(fit.any(1, keepdim=True), fit, longest)


def unusable(known: Tensor, scans: Sequence[Scan] = SCANS[:1]) -> int:
    """The number of known pixels of a mask (H, W) that come after an unknown pixel in the best of the ``scans``.

    An unknown pixel before them cannot be conditioned on them. By default the only scan is the raster order.
    """
    turned = [scan.turn(known).flatten() for scan in scans]
    return min(int(flat[(~flat).cumsum(0) > 0].sum()) for flat in turned)
