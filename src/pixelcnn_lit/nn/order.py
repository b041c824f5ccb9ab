"""The order of the pixels as an input: a rank for each pixel of each image, and which neighbours come earlier."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def raster(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """The ranks of the raster order: rows from the top, pixels from the left. (1, H, W)."""
    return torch.arange(height * width, device=device).view(1, height, width)


class Kernel(NamedTuple):
    """A square of ``size`` x ``size`` places around a pixel, size odd; ``centre``: whether a pixel sees itself."""

    size: int
    centre: bool

    def offsets(self, device: torch.device) -> Tensor:
        """(rows, columns) from the pixel to each place of the square, in raster order: (size ** 2, 2)."""
        reach = torch.arange(self.size, device=device) - self.size // 2
        return torch.cartesian_prod(reach, reach).view(-1, 2)


class Order:
    """The order in which the pixels of a batch of images are drawn.

    ``ranks`` (N, H, W), or (1, H, W) for one order of all images, holds each number from 0 to H W - 1 once in an image:
    the pixel of rank 0 comes first. ``places`` (N, H W) is the inverse: the place ``row * W + column`` of each rank.

    An image *in rank order* (N, F, H, W) holds the pixel of rank r at the place r. So what a raster sampler does with
    it is done in this order.

    >>> import torch
    >>> from pixelcnn_lit.nn.order import Kernel, Order
    >>> order = Order(torch.tensor([[[3, 2], [1, 0]]]))
    >>> order.in_rank_order(torch.tensor([[[[10, 11], [12, 13]]]])).flatten().tolist()
    [13, 12, 11, 10]
    >>> order.visible(Kernel(3, centre=False))[0, 0, 0].int().tolist()  # the first pixel is the last one: sees all
    [0, 0, 0, 0, 0, 1, 0, 1, 1]
    """

    def __init__(self, ranks: Tensor) -> None:
        self.ranks = ranks
        self.places = ranks.flatten(1).argsort(1)
        self._visible: dict[Kernel, Tensor] = {}
        self._neighbours: dict[tuple[Kernel, int], Neighbours] = {}

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images."""
        return self.ranks.shape[1], self.ranks.shape[2]

    def in_rank_order(self, x: Tensor) -> Tensor:
        """Images (N, F, H, W) in rank order."""
        flat = x.flatten(2)
        return flat.gather(2, self.places[:, None].expand_as(flat)).view(x.shape)

    def in_place(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`in_rank_order`. Of x (N, F, h, W) with the first h W ranks alone, the rest become 0."""
        known = x.flatten(2)
        result = x.new_zeros(*x.shape[:2], self.places.shape[1])
        places = self.places[:, None, : known.shape[2]].expand_as(known)
        return result.scatter(2, places, known).unflatten(2, self.size)

    def visible(self, kernel: Kernel) -> Tensor:
        """Which places of the kernel around each pixel come earlier in the order: (N, H, W, size ** 2) bool."""
        if kernel not in self._visible:
            reach, height, width = kernel.size // 2, *self.size
            later = self.ranks.shape[1] * self.ranks.shape[2]  # outside of the image no pixel is seen
            around = torch.nn.functional.pad(self.ranks, (reach, reach, reach, reach), value=later)
            near = around.unfold(1, kernel.size, 1).unfold(2, kernel.size, 1).reshape(-1, height, width, kernel.size**2)
            own = self.ranks[..., None]
            self._visible[kernel] = near <= own if kernel.centre else near < own
        return self._visible[kernel]

    def neighbours(self, kernel: Kernel, n: int) -> Neighbours:
        """What the caches of ``n`` images look up for this kernel. All layers with the same kernel share it."""
        if (kernel, n) not in self._neighbours:
            self._neighbours[kernel, n] = Neighbours(self, kernel, n)
        return self._neighbours[kernel, n]


class Neighbours:
    """Where a sampler finds the neighbours of the pixels of one row of an image in rank order.

    A cache holds the features of image n and place p at ``n * (H W + 1) + p``. The place H W of each image is 0: what a
    pixel does not see is read there. All tensors keep their memory from row to row, so that recordings stay valid.

    Attributes:
        own: (W, N), where the pixel of each column is kept.
        index: (W, N * size ** 2), where its neighbours are kept.
        bits: (W, N, size ** 2), 1 for a neighbour that comes earlier, else 0, as floats.
        places: (W, N), the places ``row * W + column`` of the pixels.
    """

    def __init__(self, order: Order, kernel: Kernel, n: int) -> None:
        height, self._width = order.size
        self._order, self._kernel, self._n, self._row = order, kernel, n, -1
        device = order.ranks.device
        self._places = order.places.expand(n, -1).t()
        self._ranks = order.ranks.flatten(1).expand(n, -1)
        self._offsets = kernel.offsets(device)
        self._first = torch.arange(n, device=device) * (height * self._width + 1)
        taps = len(self._offsets)
        self.places = torch.zeros(self._width, n, dtype=torch.long, device=device)
        self.own = torch.zeros(self._width, n, dtype=torch.long, device=device)
        self.index = torch.zeros(self._width, n * taps, dtype=torch.long, device=device)
        self.bits = torch.zeros(self._width, n, taps, device=device)

    def move_to(self, row: int) -> None:
        """Write all that belongs to this row of ranks. Do nothing if it is there."""
        if row == self._row:
            return
        self._row = row
        height, width = self._order.size
        self.places.copy_(self._places[row * width : (row + 1) * width])
        rank = torch.arange(row * width, (row + 1) * width, device=self.places.device)
        down = (self.places // width)[..., None] + self._offsets[:, 0]  # (W, N, taps)
        right = (self.places % width)[..., None] + self._offsets[:, 1]
        inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
        near = torch.where(inside, down * width + right, 0)
        ranks = self._ranks.gather(1, near.transpose(0, 1).reshape(self._n, -1))
        ranks = ranks.view(self._n, width, -1).transpose(0, 1)
        seen = inside & (ranks < rank[:, None, None] + self._kernel.centre)
        self.bits.copy_(seen)
        self.own.copy_(self.places + self._first)
        self.index.copy_((torch.where(seen, near, height * width) + self._first[:, None]).flatten(1))
