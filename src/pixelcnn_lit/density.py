"""The density: a network and a likelihood together are a probability distribution over images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pixelcnn_lit.device import in_double
from pixelcnn_lit.likelihood import Likelihood
from pixelcnn_lit.nn.context import ContextShape
from pixelcnn_lit.nn.contract import CausalNetwork
from pixelcnn_lit.nn.inputs import Embedded, Scaled, level_type
from pixelcnn_lit.sampling.conditionals import Conditionals, Given
from pixelcnn_lit.sampling.draw import Draw, Method, Progress, draw
from pixelcnn_lit.sampling.scans import SCANS, Scan, unusable


class Density(Conditionals):
    """An exact distribution over images of integer levels, in raster order (rows, columns, then R, G, B):

    ``log p(x) = sum over i of log p(x_i | x_1, ..., x_{i-1})``

    One pass of the causal network gives all the conditionals of an image. Images are (N, C, H, W) integer tensors of
    levels 0..levels-1; the network gets ``level / (levels - 1)``. Height and width come from the input.

    A density may be of images given something: classes ``y``, or a ``context``, a map (N, F, H', W') of floats that all
    pixels may see, such as a grey version of the image. Then every method takes it, as one for all images too.

    >>> from pixelcnn_lit import build
    >>> density = build(["model.n_res=1", "model.hidden=4", "data.levels=2"])
    >>> x = density.sample(2, seed=0, size=(3, 5))
    >>> x.shape, x.dtype
    (torch.Size([2, 1, 3, 5]), torch.uint8)
    >>> density.log_prob(x).shape
    torch.Size([2])
    """

    scans: tuple[Scan, ...] = SCANS[:1]
    """The orders of pixels that the network knows: here the raster alone."""

    def __init__(
        self,
        network: nn.Module,
        likelihood: Likelihood,
        image_shape: tuple[int, int, int],
        n_classes: int | None = None,
        context_shape: ContextShape | None = None,
        inputs: Scaled | Embedded | None = None,
    ) -> None:
        """``image_shape`` is (C, H, W): the channels of every image, and the default size of ``sample``.

        With ``n_classes``, the network takes classes ``y`` too, and the density is ``p(x | y)``. Without y it is the
        mixture of all classes with equal weights. With ``context_shape``, the network takes a context of that shape.
        ``inputs`` says what the network sees of a level; None: ``level / (levels - 1)``.
        """
        super().__init__(network, likelihood, n_classes, context_shape, inputs)
        self.image_shape = image_shape
        self.class_names: tuple[str, ...] = ()
        """The name of each class; empty if there are no classes, or nobody has said how they are called."""

    def raster(self) -> Density:
        """The density in raster order of which this one is made: this one itself."""
        return self

    def initialise(self, x: Tensor, y: Tensor | None = None, context: Tensor | None = None) -> None:
        """Initialise the network on a batch of training images; by default a network does nothing, PixelCNN++ does.

        ``x`` are levels (N, C, H, W), ``y`` (N,) their classes, ``context`` (N, F, H', W') their contexts.
        """
        if isinstance(self.network, CausalNetwork):
            x = self._checked(x)
            given = self._given(x, y if self.n_classes else None, context)
            self.network.initialise(self.normalise(x), *given)

    def log_prob(
        self,
        x: Tensor,
        y: Tensor | int | None = None,
        context: Tensor | None = None,
        *,
        order: int | Tensor | None = None,
    ) -> Tensor:
        """``log p(x)``, or that given ``y`` or ``context``, in nats: levels (N, C, H, W) -> (N,).

        ``y`` is one class, or one class per image (N,). Without y, a class-conditional density sums over the classes:
        ``log p(x) = log sum over y of p(x | y) / n_classes``.

        ``order`` is for densities of several orders of the pixels; here it may be 0, the raster, alone.

        Raises ValueError if x is not a batch of level images, y not a class of this density, context not a batch of
        its contexts, or order not one of its orders.
        """
        if order is not None and (isinstance(order, bool) or torch.as_tensor(order).any()):
            raise ValueError(f"order must be 0: this density has one order of the pixels, the raster; got {order}")
        if self.n_classes is not None and y is None:
            return even_mixture(self.class_log_probs(x, context), 1)
        x = self._checked(x)
        return -self(x, *self._given(x, y, context)).flatten(1).sum(1)

    def class_log_probs(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``log p(x | y)`` for every class y, in nats: levels (N, C, H, W) -> (N, n_classes).

        With equal priors, ``p(y | x)`` is their softmax (Bayes' rule). Raises ValueError for a density without classes.
        """
        if self.n_classes is None:
            raise ValueError("this density has no classes: it was built with n_classes=None")
        return even_mixture(self.component_log_probs(x, context), 2)

    def component_log_probs(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``log p(x | y, o)`` of each class y and order o, in nats: levels (N, C, H, W) -> (N, classes, orders).

        Without classes, and here in the only order, there is one of them. All have equal weights in ``p(x)``.
        """
        classes = [None] if self.n_classes is None else range(self.n_classes)
        return torch.stack([self.log_prob(x, y, context) for y in classes], dim=1)[..., None]

    def bits_per_dim(self, x: Tensor, y: Tensor | int | None = None, context: Tensor | None = None) -> Tensor:
        """``-log2 p(x) / (C H W)``, or that given ``y`` or ``context``: levels (N, C, H, W) -> (N,) bits/dim.

        Raises ValueError as :meth:`log_prob` does.
        """
        return -self.log_prob(x, y, context) / (math.prod(x.shape[1:]) * math.log(2))

    def nats(self, x: Tensor, y: Tensor | int | None = None, context: Tensor | None = None) -> Tensor:
        """``-log p(x_i | x_1, ..., x_{i-1})`` of each dimension, in nats: levels (N, C, H, W) -> (N, C, H, W).

        It may be given ``y`` or ``context`` too. The sum over an image is ``-log p(x)``. Without y, a class-conditional
        density weighs its classes by what the earlier dimensions say of them, ``p(y | x_1, ..., x_{i-1})``.

        Raises ValueError as :meth:`log_prob` does.

        >>> import torch
        >>> from pixelcnn_lit import build
        >>> density = build(["model.n_res=1", "model.hidden=4", "data.levels=2"])
        >>> x = density.sample(2, seed=0, size=(3, 5))
        >>> torch.allclose(density.nats(x).sum((1, 2, 3)), -density.log_prob(x))
        True
        """
        if self.n_classes is not None and y is None:
            each = self._nats_of_classes(x, context)
            weights = _log_weights(each)
            return -(weights - each.to(weights.device)).logsumexp(0).to(each)
        x = self._checked(x)
        return self(x, *self._given(x, y, context))

    def entropy(self, x: Tensor, y: Tensor | int | None = None, context: Tensor | None = None) -> Tensor:
        """The entropy of each conditional, in nats: levels (N, C, H, W) -> (N, C, H, W).

        ``-sum over l of p(l | x_1, ..., x_{i-1}) log p(l | x_1, ..., x_{i-1})``: the mean of :meth:`nats` over what
        dimension i could have been, given the dimensions of x before it. At most ``log levels``.

        Raises ValueError as :meth:`log_prob` does.
        """
        if self.n_classes is None or y is not None:
            return entropies(self.logits(x, y, context))
        each = self._nats_of_classes(x, context)
        weights = _log_weights(each).exp().to(each)[:, :, None]
        chances = weights[0] * self.logits(x, 0, context).softmax(1)
        for number in range(1, self.n_classes):
            chances += weights[number] * self.logits(x, number, context).softmax(1)
        return torch.special.entr(chances).sum(1)

    def _nats_of_classes(self, x: Tensor, context: Tensor | None) -> Tensor:
        """:meth:`nats` given each class: (n_classes, N, C, H, W)."""
        assert self.n_classes is not None
        return torch.stack([self.nats(x, y, context) for y in range(self.n_classes)])

    def logits(self, x: Tensor, y: Tensor | int | None = None, context: Tensor | None = None) -> Tensor:
        """The logits of each conditional: levels (N, C, H, W) -> (N, levels, C, H, W).

        Raises ValueError as :meth:`log_prob` does, and for a class-conditional density without y.
        """
        x = self._checked(x)
        return self.all_logits(x, *self._given(x, y, context))

    def sample(
        self,
        n: int,
        seed: int | None = None,
        y: Tensor | int | None = None,
        *,
        context: Tensor | None = None,
        size: tuple[int, int] | None = None,
        temperature: float = 1.0,
        method: Method = "cached",
        first: int = 0,
        progress: Progress | None = None,
    ) -> Tensor:
        """Draw ``n`` images exactly from the model: (n, C, H, W) levels, uint8 up to 256.

        Image i depends on ``seed`` and ``first + i`` only, not on ``n``.

        Args:
            n: The number of images.
            seed: At least 0. None: take one from torch's global generator.
            y: One class, or one class per image (n,). None: a class-conditional density draws a class per image.
            context: One context (1, F, H', W'), or one per image (n, F, H', W'), if the density has contexts.
            size: (H, W). None: that of the context, else the size of ``image_shape``.
            temperature: Divides the logits. 0 takes the mode of each conditional.
            method: "cached" costs about one pass of the network, "naive" one pass per pixel; the images are the same.
            first: The number of the first image.
            progress: Called with a ``sampling.draw.SoFar`` before the first row and after each: the images so far.

        Raises:
            ValueError: n, seed or temperature is negative, size is empty, or method, y or context does not fit.
            UserError: The logits are NaN or infinite, because the weights are wrong.
        """
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise ValueError(f"n must be an integer of at least 0, got {n!r}")
        height, width = self._size(context) if size is None else size
        if height < 1 or width < 1:
            raise ValueError(f"size must be at least (1, 1), got {size}")
        x = torch.zeros(n, self.image_shape[0], height, width, dtype=level_type(self.levels), device=self.device)
        how = Draw(_seed(seed), temperature, method, first, progress)
        return self._drawn(x, None, self._given(x, y, context), how)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        seed: int | None = None,
        y: Tensor | int | None = None,
        *,
        context: Tensor | None = None,
        temperature: float = 1.0,
        method: Method = "cached",
        first: int = 0,
        progress: Progress | None = None,
    ) -> Tensor:
        """Keep the ``known`` pixels of x and draw the others, in raster order: (N, C, H, W) levels.

        An unknown pixel is drawn given all pixels before it in raster order. Known pixels after it have no influence.
        The arguments that are not listed are those of :meth:`sample`.

        Args:
            x: Levels (N, C, H, W).
            known: Bool (H, W) or (N, H, W), True where a pixel is known.
            y: As for :meth:`sample`; None: draw each class given the pixels before the first unknown one.

        Raises ValueError if the shapes do not match or x holds other values than levels, and UserError as
        :meth:`sample` does.
        """
        x = self._checked(x).to(self.device, level_type(self.levels), copy=True)
        known = self._known(known, x)
        given = self._given(x, y, context)
        return self._drawn(x, known, given, Draw(_seed(seed), temperature, method, first, progress))

    def completion_log_prob(
        self, x: Tensor, known: Tensor, y: Tensor | int | None = None, context: Tensor | None = None
    ) -> Tensor:
        """``log q(hidden | known)``, in nats: (N,), of the distribution that :meth:`complete` draws from.

        It is that of the pixels of x (N, C, H, W) that are not ``known``, (H, W) or (N, H, W): the sum of
        ``log p(x_i | x_1, ..., x_{i-1})`` over them. Where no known pixel comes after a hidden one, q is the density's
        own conditional ``p(hidden | known)``. Without y, a class-conditional density weighs its classes as
        :meth:`complete` does.

        Raises ValueError as :meth:`complete` does.
        """
        x = self._checked(x)
        known = self._known(known, x)
        labels = [y] if y is not None or self.n_classes is None else range(self.n_classes)
        leading = known.flatten(1).cummin(1).values.view_as(known)
        nats = torch.stack([self(x, *self._given(x, label, context)) for label in labels])
        weights = (-(nats * leading[:, None]).flatten(2).sum(2)).log_softmax(0)
        return (weights - (nats * ~known[:, None]).flatten(2).sum(2)).logsumexp(0)

    def unused(self, known: Tensor) -> int:
        """How many of the ``known`` pixels (H, W) condition not all unknown ones, as :meth:`complete` draws them."""
        return unusable(known, self.scans)

    def _known(self, known: Tensor, x: Tensor) -> Tensor:
        """The masks of the known pixels of x, checked: (N, H, W) bool."""
        if known.dtype != torch.bool or tuple(known.shape) not in (
            (*x.shape[2:],),
            (x.shape[0], *x.shape[2:]),
        ):
            expected = f"bool of shape {tuple(x.shape[2:])} or {(x.shape[0], *x.shape[2:])}"
            raise ValueError(f"known must be {expected}, got {known.dtype} of shape {tuple(known.shape)}")
        return known.to(self.device).expand(x.shape[0], *x.shape[2:])

    def _drawn(self, x: Tensor, known: Tensor | None, given: Given, how: Draw) -> Tensor:
        """Draw the pixels of x that are not known (N, H, W), in place."""
        return draw(self, x, known, given, how)

    def _checked(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor):
            raise ValueError(f"images must be a tensor of integer levels, got {type(x).__name__}")
        if x.dim() != 4 or not x.shape[2] or not x.shape[3] or x.shape[1] != self.image_shape[0]:
            raise ValueError(f"images must be (N, {self.image_shape[0]}, H, W), got {tuple(x.shape)}")
        if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
            raise ValueError(f"images must be integer levels, got {x.dtype}")
        if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < self.levels:
            raise ValueError(f"levels must be in 0..{self.levels - 1}, got {int(x.min())}..{int(x.max())}")
        return x.to(self.device)

    def _given(self, x: Tensor, y: Tensor | int | None, context: Tensor | None) -> Given:
        """The classes and contexts of the images x (N, C, H, W), checked and on this density's device."""
        return Given(self._classes(y, len(x)), self._context(context, len(x), (x.shape[2], x.shape[3])))

    def _size(self, context: Tensor | None) -> tuple[int, int]:
        """The size of images with this context, or by default."""
        if context is None or self.context_shape is None or context.dim() != 4:
            return self.image_shape[1:]
        return context.shape[2] * self.context_shape.factor, context.shape[3] * self.context_shape.factor

    def _context(self, context: Tensor | None, n: int, size: tuple[int, int]) -> Tensor | None:
        """The contexts of n images of ``size``, (n, F, H', W')."""
        if self.context_shape is None:
            if context is not None:
                raise ValueError("this density has no context: it was built with context_shape=None")
            return None
        shape = self.context_shape.of(*size)
        if context is None:
            raise ValueError(f"this density is of images given a context: context= (N, {', '.join(map(str, shape))})")
        if not isinstance(context, Tensor) or not context.is_floating_point():
            kind = context.dtype if isinstance(context, Tensor) else type(context).__name__
            raise ValueError(f"context must be a tensor of floats, got {kind}")
        if tuple(context.shape) not in ((1, *shape), (n, *shape)):
            raise ValueError(f"context must be {(n, *shape)} for images of {size}, got {tuple(context.shape)}")
        if not context.isfinite().all():
            raise ValueError("context must be finite")
        return context.to(self.device, next(self.parameters()).dtype).expand(n, *shape)

    def _classes(self, y: Tensor | int | None, n: int) -> Tensor | None:
        """The classes of n images, (n,) on this density's device."""
        if y is None:
            return None
        if self.n_classes is None:
            raise ValueError("this density has no classes: it was built with n_classes=None")
        classes = torch.as_tensor(y, device=self.device)
        if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
            raise ValueError(f"y must be integer classes, got {classes.dtype}")
        if classes.dim() > 1 or (classes.dim() == 1 and len(classes) != n):
            raise ValueError(f"y must be one class or {n}, got shape {tuple(classes.shape)}")
        if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) < self.n_classes:
            got = f"{int(classes.min())}..{int(classes.max())}"
            raise ValueError(f"y must be in 0..{self.n_classes - 1}, got {got}")
        return classes.long().expand(n)


def even_mixture(log_probs: Tensor, dim: int) -> Tensor:
    """``log sum over k of p_k / K``: log-probabilities in nats of K equally weighted components along ``dim``.

    >>> import torch
    >>> from pixelcnn_lit.density import even_mixture
    >>> even_mixture(torch.tensor([[0.1, 0.3], [0.5, 0.5]]).log(), 1).exp()
    tensor([0.2000, 0.5000])
    """
    return log_probs.logsumexp(dim) - math.log(log_probs.shape[dim])


def entropies(logits: Tensor) -> Tensor:
    """The entropies of conditionals in nats, from their logits (N, levels, ...): (N, ...)."""
    return torch.special.entr(logits.softmax(1)).sum(1)


def _log_weights(nats: Tensor) -> Tensor:
    """``log p(y | x_1, ..., x_{i-1})`` of each class and dimension, from the nats given each class, (K, N, C, H, W).

    In float64, since sums over an image are compared; on the CPU, if the device has no float64.
    """
    k, n, channels, height, width = nats.shape
    in_order = in_double(nats).permute(0, 1, 3, 4, 2).flatten(2)
    before = (in_order - in_order.cumsum(2)).log_softmax(0)
    return before.view(k, n, height, width, channels).permute(0, 1, 4, 2, 3)


def _seed(seed: int | None) -> int:
    """``seed``, or for None one from torch's global generator."""
    return int(torch.randint(2**62, ())) if seed is None else seed
