"""A density that is the mixture of several scans of the image, through one network that knows the scan as a class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pixelcnn_lit.density import Density, entropies, even_mixture
from pixelcnn_lit.likelihood import Likelihood
from pixelcnn_lit.nn.context import ContextShape
from pixelcnn_lit.nn.inputs import Embedded, Scaled
from pixelcnn_lit.sampling.conditionals import Conditionals, Given, mean_nats
from pixelcnn_lit.sampling.draw import Draw, Progress, SoFar, draw
from pixelcnn_lit.sampling.noise import Streams, gumbel
from pixelcnn_lit.sampling.scans import SCANS, alike, leading, turned, usable


class ManyOrders(Density):
    """The mixture of ``orders`` scans, each an exact density by itself:

    ``log p(x) = log sum over o of p(x | o) / orders``

    It is trained on a scan drawn for each image, so on the mean of the scans' ``-log p(x | o)``, which is at least
    ``-log p(x)``. An image is drawn in a scan of its own. A completion takes the scans in which the known pixels come
    first, weighted by ``p(known | o)``, and is then exact; without such a scan, the one with the longest known start.

    The network is a raster network whose classes are the pairs of a class and a scan, ``y * orders + o``. It gets the
    image turned, so that the scan's first pixel is at the top left.

    Jain et al., "Locally Masked Convolution for Autoregressive Models" (2020), arXiv 2006.12486, section 4.

    >>> from pixelcnn_lit import build
    >>> density = build(["model.n_res=1", "model.hidden=4", "data.levels=2", "model.orders=8"])
    >>> x = density.sample(2, seed=0, size=(3, 5))
    >>> density.log_prob(x).shape, density.order_log_probs(x).shape
    (torch.Size([2]), torch.Size([2, 8]))
    """

    orders_are: ClassVar[str] = "the number of a scan, or one for each image ({n},)"
    """What ``order=`` may be, for a person."""
    numbers: ClassVar[tuple[int, ...]] = (2, 4, 8)
    """How many scans there may be."""

    def __init__(
        self,
        network: nn.Module,
        likelihood: Likelihood,
        image_shape: tuple[int, int, int],
        orders: int,
        n_classes: int | None = None,
        context_shape: ContextShape | None = None,
        inputs: Scaled | Embedded | None = None,
    ) -> None:
        """``orders`` is one of :attr:`numbers`. The network has ``orders * (n_classes or 1)`` classes.

        The rest is of Density.

        Raises ValueError for another number of orders.
        """
        if orders not in self.numbers:
            raise ValueError(f"orders must be one of {self.numbers}, got {orders}")
        super().__init__(network, likelihood, image_shape, n_classes, context_shape, inputs)
        self.scans = SCANS[:orders]

    def forward(
        self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None, chances: Tensor | None = None
    ) -> Tensor:
        """Nats of each dimension: levels (N, C, H, W) -> (N, C, H, W).

        In training, those in a scan that torch's generator draws for each image, or with ``chances`` their means. In
        evaluation, :meth:`nats`, whatever the chances. As of Density, a network without classes takes no notice of y.
        """
        y = None if self.n_classes is None else y
        if not self.training:
            return self.nats(x, y, context)
        order, given = torch.randint(len(self.scans), (len(x),), device=x.device), Given(y, context)
        if chances is not None:
            return mean_nats(self._along(_nats_of_both, x, given, order), chances)
        return self._along(_nats, x, given, order)

    def given(self, y: Tensor | None, context: Tensor | None) -> dict[str, Tensor | None]:
        """The arguments of the network beside the image, in the first scan, which is the raster."""
        classes = torch.zeros(1, dtype=torch.long, device=self.device) if y is None else y * len(self.scans)
        return {"y": classes} if self.context_shape is None else {"y": classes, "context": context}

    def initialise(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> None:
        """As of Density, on the images in the first scan."""
        self.raster().initialise(x, *self._labelled(self._given(x, y if self.n_classes else None, context), x, 0))

    def log_prob(
        self,
        x: Tensor,
        y: Tensor | int | None = None,
        context: Tensor | None = None,
        *,
        order: int | Tensor | None = None,
    ) -> Tensor:
        """``log p(x)`` of the mixture, or ``log p(x | o)`` of one ``order`` of :attr:`scans`, in nats: (N,).

        ``order`` is the number of a scan, or one for each image (N,).
        The rest is of :meth:`Density.log_prob`. Raises ValueError for an order that is not there, too.
        """
        if order is None:
            return even_mixture(self.order_log_probs(x, y, context), 1)
        return self._labels_log_probs(x, y, context, order).logsumexp(0)

    def order_log_probs(self, x: Tensor, y: Tensor | int | None = None, context: Tensor | None = None) -> Tensor:
        """``log p(x | o)`` of each of :attr:`scans`, in nats: levels (N, C, H, W) -> (N, orders)."""
        each = [self.log_prob(x, y, context, order=order) for order in range(len(self.scans))]
        return torch.stack(each, dim=1)

    def component_log_probs(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``log p(x | y, o)`` of each class y and scan o, in nats: levels (N, C, H, W) -> (N, classes, orders)."""
        each = [self._labels_log_probs(x, None, context, order) for order in range(len(self.scans))]  # of (classes, N)
        return torch.stack(each).permute(2, 1, 0) + math.log(self.n_classes or 1)

    def _labels_log_probs(
        self, x: Tensor, y: Tensor | int | None, context: Tensor | None, order: int | Tensor
    ) -> Tensor:
        """``log p(x, y | o)`` of each class that may be, of y or of all: (classes, N)."""
        parts = self._of_labels(_nats, x, y, context, order)
        return -parts.flatten(2).sum(2) - math.log(len(parts))

    def nats(
        self,
        x: Tensor,
        y: Tensor | int | None = None,
        context: Tensor | None = None,
        *,
        order: int | Tensor | None = None,
    ) -> Tensor:
        """The share of each dimension in ``-log p(x)``, in nats: levels (N, C, H, W) -> (N, C, H, W).

        Given an ``order`` (and a class, where there are classes) they are ``-log p(x_i | those before it)``. Without,
        they are the mean of these over the scans (and classes), weighted by ``p(o | x)``, and what is then missing in
        the sum is spread evenly: the sum over an image is ``-log p(x)``.
        """
        each = self._components(_nats, x, y, context, order)
        totals = -each.flatten(2).sum(2)  # (components, N)
        weights = totals.log_softmax(0)
        mean = torch.einsum("kn,knchw->nchw", weights.exp(), each)
        missing = (weights.exp() * weights).sum(0) + math.log(len(each))
        return mean + (missing / math.prod(x.shape[1:]))[:, None, None, None]

    def entropy(
        self,
        x: Tensor,
        y: Tensor | int | None = None,
        context: Tensor | None = None,
        *,
        order: int | Tensor | None = None,
    ) -> Tensor:
        """The entropy of each conditional, in nats: (N, C, H, W), the mean over the scans as of :meth:`nats`."""
        totals = self._components(_nats, x, y, context, order)
        weights = (-totals.flatten(2).sum(2)).softmax(0)
        each = self._components(lambda *asked: entropies(_logits(*asked)), x, y, context, order)
        return torch.einsum("kn,knchw->nchw", weights, each)

    def logits(
        self, x: Tensor, y: Tensor | int | None = None, context: Tensor | None = None, *, order: int | Tensor = 0
    ) -> Tensor:
        """The logits of each conditional of one scan: levels (N, C, H, W) -> (N, levels, C, H, W)."""
        x = self._checked(x)
        given, orders = self._given(x, y, context), self._orders(x, order)
        return self._along(_logits, x, given, orders)

    def completion_log_prob(
        self, x: Tensor, known: Tensor, y: Tensor | int | None = None, context: Tensor | None = None
    ) -> Tensor:
        """``log q(hidden | known)``, in nats: (N,): of the mixture of scans and classes that is drawn from."""
        x = self._checked(x)
        known, given = self._known(known, x), self._given(x, y, context)
        weights = self._label_weights(x, known, given).flatten(1).log_softmax(1)
        labels = range(self.n_classes or 1)
        hidden = []
        for label in [None] if self.n_classes is None else labels:
            classes = None if label is None else torch.full((len(x),), label, device=x.device)
            for order in range(len(self.scans)):
                orders = self._orders_around(x, known, order)
                nats = self._along(_nats, x, given._replace(y=classes), orders)
                hidden.append(-(nats * ~known[:, None]).flatten(1).sum(1))
        return (weights + torch.stack(hidden, dim=1)).logsumexp(1)

    def _components(
        self, ask: Ask, x: Tensor, y: Tensor | int | None, context: Tensor | None, order: int | Tensor | None
    ) -> Tensor:
        """What ``ask`` gives of each scan and class: (components, N, ...)."""
        orders = range(len(self.scans)) if order is None else [order]
        return torch.cat([self._of_labels(ask, x, y, context, each) for each in orders])

    def _of_labels(
        self, ask: Ask, x: Tensor, y: Tensor | int | None, context: Tensor | None, order: int | Tensor
    ) -> Tensor:
        """What ``ask`` gives of one scan and each class that may be: (classes, N, ...)."""
        x = self._checked(x)
        classes = [y] if y is not None or self.n_classes is None else range(self.n_classes)
        orders = self._orders(x, order)
        return torch.stack([self._along(ask, x, self._given(x, label, context), orders) for label in classes])

    def _orders(self, x: Tensor, order: int | Tensor) -> Tensor:
        """The order of each image of x, (N,)."""
        whole = isinstance(order, int) and not isinstance(order, bool)
        numbers = isinstance(order, Tensor) and order.dtype in (torch.uint8, torch.int16, torch.int32, torch.int64)
        if not (whole or numbers) or (isinstance(order, Tensor) and order.shape not in ((), (len(x),))):
            got = f"{order.dtype} of shape {tuple(order.shape)}" if isinstance(order, Tensor) else repr(order)
            raise ValueError(f"order must be {self.orders_are.format(n=len(x))}, got {got}")
        orders = torch.as_tensor(order, device=x.device)
        wrong = orders[(orders < 0) | (orders >= len(self.scans))]
        if len(wrong):
            raise ValueError(f"order must be in 0..{len(self.scans) - 1}, got {int(wrong[0])}")
        return orders.long().expand(len(x))

    def raster(self) -> Density:
        """The same network as a density in raster order, whose classes are ``y * orders + o``; of turned images."""
        labels = len(self.scans) * (self.n_classes or 1)
        raster = Density(self.network, self.likelihood, self.image_shape, labels, self.context_shape, self.inputs)
        raster.training = self.training  # of this module alone: the network is in its mode already
        return raster

    def _labelled(self, given: Given, x: Tensor, order: Tensor | int) -> Given:
        """What the raster density is given: y * orders + order in place of y, or the order alone."""
        labels = torch.as_tensor(order, device=x.device).expand(len(x))
        return given._replace(y=labels if given.y is None else given.y * len(self.scans) + labels)

    def _along(self, ask: Ask, x: Tensor, given: Given, order: Tensor) -> Tensor:
        """What ``ask`` gives of each image in its own scan, turned back: (N, ..., H, W)."""
        raster, parts, places = self.raster(), [], []
        for part in alike(order, self.scans, (x.shape[2], x.shape[3])):
            own = self._labelled(Given(*(None if each is None else each[part] for each in given)), part, order[part])
            if own.context is not None:
                own = own._replace(context=turned(own.context, order[part], self.scans))
            result = ask(raster, turned(x[part], order[part], self.scans), own)
            parts.append(turned(result, order[part], self.scans, back=True))
            places.append(part)
        if not parts:  # no images
            return ask(raster, x, self._labelled(given, x, order))
        return torch.cat(parts)[torch.cat(places).argsort()]

    @torch.inference_mode()
    def _drawn(self, x: Tensor, known: Tensor | None, given: Given, how: Draw) -> Tensor:
        if not len(x):
            return x
        was_training = self.training
        self.eval()
        try:
            y, order = self._draw_labels(x, known, given, how)
            assert isinstance(how.first, int)
            parts = list(alike(order, self.scans, (x.shape[2], x.shape[3])))
            seen = x.new_zeros(len(x), *x.shape[2:], dtype=torch.bool) if known is None else known.clone()
            for number, part in enumerate(parts):
                fixed = None if known is None else known[part]
                turn = self._turn(order[part], x[part], fixed)
                first = [how.first + image for image in part.tolist()]
                progress = self._turning_back(how.progress, x, seen, turn, part, (number, len(parts)))
                own = Given(*(None if each is None else each[part] for each in given._replace(y=y)))
                at_first = dataclasses.replace(how, first=first, progress=progress)
                x[part] = self._drawn_turned(x[part], fixed, own, turn, at_first)
                seen[part] = True
        finally:
            self.train(was_training)
        return x

    def _turning_back(
        self, progress: Progress | None, x: Tensor, seen: Tensor, turn: Turn, part: Tensor, which: tuple[int, int]
    ) -> Progress | None:
        """What tells ``progress`` of the whole batch, while one ``part`` of it, which is turned, is drawn."""
        if progress is None:
            return None
        number, count = which

        def told(so_far: SoFar) -> None:
            x[part] = turn.back(so_far.x)
            seen[part] = turn.back(so_far.seen[:, None])[:, 0]
            progress(SoFar(number * so_far.total + so_far.done, count * so_far.total, x, seen))

        return told

    def _turn(self, order: Tensor, x: Tensor, known: Tensor | None) -> Turn:
        """How images x of these orders, which have one size when turned, get to a raster sampler and back."""
        scans = self.scans
        return Turn(order, lambda x: turned(x, order, scans), lambda x: turned(x, order, scans, back=True))

    def _drawn_turned(self, x: Tensor, known: Tensor | None, given: Given, turn: Turn, how: Draw) -> Tensor:
        """Draw the images x of the turn's orders, of which ``known`` pixels (N, H, W) are there."""
        own = self._labelled(given, x, turn.order)
        own = own if own.context is None else own._replace(context=turn.forth(own.context))
        mask = None if known is None else turn.forth(known[:, None])[:, 0]
        return turn.back(draw(self.raster(), turn.forth(x), mask, own, how))

    def _draw_labels(self, x: Tensor, known: Tensor | None, given: Given, how: Draw) -> tuple[Tensor | None, Tensor]:
        """Draw a class, if there are classes and none is given, and a scan for each image, given what is known."""
        weights, orders = self._label_weights(x, known, given), len(self.scans)
        streams = Streams(how.seed, how.first, len(x), torch.device("cpu"), "classes")
        noise = gumbel(streams, torch.empty(len(x), weights[0].numel()))
        label = (weights.flatten(1) + noise.to(x.device)).argmax(1)
        return (None if self.n_classes is None else label // orders), label % orders

    def _orders_around(self, x: Tensor, known: Tensor, order: int) -> Tensor:
        """The order of each image of x in which its hidden pixels are drawn, from the number of a scan."""
        return self._orders(x, order)

    def _label_weights(self, x: Tensor, known: Tensor | None, given: Given) -> Tensor:
        """What the known pixels say of each class and scan, as unnormalised logarithms: (N, classes, orders)."""
        n, orders, classes = len(x), len(self.scans), self.n_classes or 1
        weights = torch.zeros(n, classes, orders, device=x.device)
        if known is not None:
            weights = self._known_log_probs(x, known, given.context)
        if given.y is not None:
            other = torch.arange(classes, device=x.device) != given.y[:, None]
            weights = weights.masked_fill(other[:, :, None], -math.inf)
        return weights

    def _known_log_probs(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        """``log p(known start of the scan | class, scan)``, -inf for scans that are not used: (N, classes, orders)."""
        fit, raster = usable(known, self.scans), self.raster()
        weights = torch.full((len(x), self.n_classes or 1, len(self.scans)), -math.inf, device=x.device)
        for order, scan in enumerate(self.scans):
            chosen = fit[:, order].nonzero()[:, 0]
            start = leading(known[chosen], scan)[:, None]
            rows = int(start.any(3).any(1).sum(1).max()) if len(chosen) else 0
            weights[chosen, :, order] = 0
            if not rows:
                continue
            turned_x = scan.turn(x[chosen])[:, :, :rows]
            turned_context = None if context is None else scan.turn(context[chosen])
            for y in range(self.n_classes or 1):
                labels = torch.full((len(chosen),), y * len(self.scans) + order, device=x.device)
                nats = raster(turned_x, labels, turned_context)
                weights[chosen, y, order] = -(nats * start[:, :, :rows]).flatten(1).sum(1)
        return weights


def _nats(raster: Conditionals, x: Tensor, given: Given) -> Tensor:
    nats: Tensor = raster(x, *given)
    return nats


def _nats_of_both(raster: Conditionals, x: Tensor, given: Given) -> Tensor:
    return raster.nats_of_both(x, *given)


def _logits(raster: Conditionals, x: Tensor, given: Given) -> Tensor:
    return raster.all_logits(x, *given)


class Turn(NamedTuple):
    """How images (N, F, H, W) of an ``order`` get into the raster order in which they are drawn, and back."""

    order: Tensor
    forth: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


Ask = Callable[[Conditionals, Tensor, Given], Tensor]
"""A question to the network in raster order: of images (N, C, H, W), and what they are given."""
