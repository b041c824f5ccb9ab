"""A density over images whose pixels come in any order: the order is an input of the network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pixelcnn_lit.density import Density
from pixelcnn_lit.holes import random_known
from pixelcnn_lit.likelihood import Likelihood
from pixelcnn_lit.nn.context import ContextShape
from pixelcnn_lit.nn.contract import OrderedNetwork
from pixelcnn_lit.nn.inputs import Embedded, Scaled
from pixelcnn_lit.nn.order import Order
from pixelcnn_lit.orders import Ask, ManyOrders, Turn
from pixelcnn_lit.sampling.conditionals import Given, InOrder, InRankOrder
from pixelcnn_lit.sampling.draw import Draw, draw
from pixelcnn_lit.sampling.scans import known_first


class AnyOrder(ManyOrders):
    """A density for each order of the pixels, through one network that takes the order.

    ``log_prob`` is that of the mixture of ``orders`` scans, as of :class:`~pixelcnn_lit.orders.ManyOrders`. With
    ``order=`` it is that of one scan, or of any order of one's own: ranks (H, W), or (N, H, W).

    A completion is drawn given *all* known pixels, wherever they are: they rank first, and the hidden ones follow in a
    scan that is weighted by what it says of the known ones. So it is exact for the mixture of these orders:

    ``p(hidden | known) = sum over o of p(known | o) p(hidden | known, o) / sum over o of p(known | o)``

    It is trained on a scan drawn for each image, and for a share ``holes`` of the images on one that begins with what
    is known around a random hole.

    Jain et al., "Locally Masked Convolution for Autoregressive Models" (2020), arXiv 2006.12486.

    >>> import torch
    >>> from pixelcnn_lit import build
    >>> density = build(["model=lmconv", "model.n_res=1", "model.hidden=4", "data.levels=2"])
    >>> x = density.sample(2, seed=0, size=(3, 5))
    >>> density.log_prob(x, order=torch.randperm(15).view(3, 5)).shape
    torch.Size([2])
    >>> known = torch.rand(3, 5) < 0.5
    >>> torch.equal(density.complete(x, known, seed=1)[:, 0, known], x[:, 0, known])
    True
    """

    orders_are = "the number of a scan, one for each image ({n},), or ranks (H, W) or ({n}, H, W)"
    numbers: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)

    def __init__(
        self,
        network: OrderedNetwork,
        likelihood: Likelihood,
        image_shape: tuple[int, int, int],
        orders: int,
        holes: float,
        n_classes: int | None = None,
        context_shape: ContextShape | None = None,
        inputs: Scaled | Embedded | None = None,
    ) -> None:
        """``orders`` is 1, 2, 4 or 8, and ``holes`` is in 0..1; the rest is of Density. Raises ValueError otherwise."""
        super().__init__(network, likelihood, image_shape, orders, n_classes, context_shape, inputs)
        if not 0 <= holes <= 1:
            raise ValueError(f"holes must be in 0..1, got {holes}")
        self.holes = holes

    def forward(
        self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None, chances: Tensor | None = None
    ) -> Tensor:
        """As of :class:`ManyOrders`; in training a share :attr:`holes` of the orders begins around a random hole."""
        y = None if self.n_classes is None else y
        if not self.training:
            return self.nats(x, y, context)
        scan = torch.randint(len(self.scans), (len(x),))
        known = random_known(len(x), x.shape[2], x.shape[3])
        known |= (torch.rand(len(x)) >= self.holes)[:, None, None]
        order = known_first(self._of_scans(scan, x), known.to(x.device))
        return self._in(order)(x, y, context, chances)

    def given(self, y: Tensor | None, context: Tensor | None) -> dict[str, Tensor | None]:
        """As of :class:`Density`: the network knows no scans, so their numbers are no classes."""
        return Density.given(self, y, context)

    def _orders(self, x: Tensor, order: int | Tensor) -> Tensor:
        """The ranks of the pixels of each image of x, (N, H, W), of scans by their numbers, or as they are given."""
        if not isinstance(order, Tensor) or order.dim() < 2:
            return self._of_scans(super()._orders(x, order), x)
        shape = x.shape[2:]
        if order.shape not in (shape, (len(x), *shape)) or order.is_floating_point():
            expected = f"integers {tuple(shape)} or {(len(x), *shape)}"
            raise ValueError(f"order must be ranks, {expected}, got {order.dtype} of shape {tuple(order.shape)}")
        ranks = order.to(x.device).long().expand(len(x), *shape)
        sorted_ranks = ranks.flatten(1).sort(1).values
        if not torch.equal(sorted_ranks, torch.arange(shape.numel(), device=x.device).expand_as(sorted_ranks)):
            raise ValueError(f"order must hold each rank from 0 to {shape.numel() - 1} once in an image")
        return ranks

    def _of_scans(self, scan: Tensor, x: Tensor) -> Tensor:
        """The ranks of the pixels in the scan of each image of x, (N, H, W)."""
        each = torch.stack([scan.ranks(x.shape[2], x.shape[3], x.device) for scan in self.scans])
        return each[scan.to(x.device)]

    def _in(self, ranks: Tensor, kind: type[InOrder] = InOrder) -> InOrder:
        """The conditionals of images in the order of these ranks."""
        given = self.n_classes, self.context_shape, self.inputs
        conditionals = kind(ranks, self.network, self.likelihood, *given)
        conditionals.training = self.training  # of this module alone: the network is in its mode already
        return conditionals

    def _labelled(self, given: Given, x: Tensor, order: Tensor | int) -> Given:
        return given

    def _along(self, ask: Ask, x: Tensor, given: Given, order: Tensor) -> Tensor:
        return ask(self._in(order), x, given)

    def unused(self, known: Tensor) -> int:
        """0: all known pixels come first."""
        return 0

    def raster(self) -> Density:
        """The same network as a density in raster order alone."""
        raster = Density(
            self.network, self.likelihood, self.image_shape, self.n_classes, self.context_shape, self.inputs
        )
        raster.training = self.training
        return raster

    def _turn(self, order: Tensor, x: Tensor, known: Tensor | None) -> Turn:
        ranks = self._of_scans(order, x)
        places = Order(ranks if known is None else known_first(ranks, known))
        return Turn(places.ranks, places.in_rank_order, places.in_place)

    def _drawn_turned(self, x: Tensor, known: Tensor | None, given: Given, turn: Turn, how: Draw) -> Tensor:
        # The context stays as it is: layers look it up at the pixels' places.
        sampler = self._in(turn.order, InRankOrder)
        mask = None if known is None else turn.forth(known[:, None])[:, 0]
        return turn.back(draw(sampler, turn.forth(x), mask, given, how))

    def _orders_around(self, x: Tensor, known: Tensor, order: int) -> Tensor:
        return known_first(self._orders(x, order), known)

    def _known_log_probs(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        """``log p(known | class, scan)``, all known pixels first: (N, classes, orders)."""
        columns = []
        for number in range(len(self.scans)):
            order = self._orders_around(x, known, number)
            labels = (
                [None] if self.n_classes is None else [x.new_full((len(x),), y).long() for y in range(self.n_classes)]
            )
            each = [self._in(order)(x, y, context) for y in labels]
            columns.append(torch.stack([-(nats * known[:, None]).flatten(1).sum(1) for nats in each], dim=1))
        return torch.stack(columns, dim=2)
