"""A trained VQ-VAE-2: an autoencoder and the priors of its codes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pixelcnn_lit.autoencoder.autoencoder import Autoencoder, Codes
from pixelcnn_lit.density import Density, even_mixture
from pixelcnn_lit.nn.context import one_hot
from pixelcnn_lit.sampling.draw import Draw, Method, Progress, SoFar, draw_classes

APART = 2**30
"""The numbers of images of two levels of codes lie so far apart: no two of their streams of random numbers coincide."""


class VQVAE:
    """Images through codes, whose priors are exact densities: ``p(codes) = p(top) p(bottom | top)``.

    Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2" (2019), arXiv 1906.00446.

    ::

        vq = pixelcnn_lit.load("outputs/vq")
        codes = vq.encode(x)  # levels (N, C, H, W) -> a map (N, 1, h, w) for each level, the top one first
        vq.decode(codes), vq.reconstruct(x)  # levels again
        vq.sample(64, seed=0)
        vq.log_prob(codes)  # (N,) nats

    ``priors`` has a density for each level of codes, by its name; a level below the top is given the one above.
    """

    def __init__(self, autoencoder: Autoencoder, priors: Mapping[str, Density]) -> None:
        """Raise ValueError if a level of codes has no prior, or one of other codes."""
        for name, shape in zip(autoencoder.names, autoencoder.code_shapes(), strict=True):
            if name not in priors:
                raise ValueError(f"no prior for the codes of level {name}")
            if priors[name].levels != autoencoder.n_codes or priors[name].image_shape != (1, *shape):
                own, other = (autoencoder.n_codes, (1, *shape)), (priors[name].levels, priors[name].image_shape)
                raise ValueError(f"the prior of level {name} is of codes {other}, the autoencoder's are {own}")
        self.autoencoder, self.priors = autoencoder, dict(priors)

    @property
    def levels(self) -> int:
        """The number of intensity levels of the images."""
        return self.autoencoder.levels

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the levels of codes, the top one first."""
        return self.autoencoder.names

    @property
    def n_classes(self) -> int | None:
        """The number of classes that the priors know, or some of them; None if none does."""
        return self.knows_classes.n_classes

    @property
    def knows_classes(self) -> Density:
        """The first prior that knows classes; that of the top if none does."""
        priors = [self.priors[name] for name in self.names]
        return next((prior for prior in priors if prior.n_classes is not None), priors[0])

    def to(self, device: torch.device) -> VQVAE:
        """Move all parts to a device, in place."""
        for part in (self.autoencoder, *self.priors.values()):
            part.to(device)
        return self

    def encode(self, x: Tensor) -> Codes:
        """The codes of levels x (N, C, H, W): see :meth:`Autoencoder.encode`."""
        return self.autoencoder.encode(x)

    def decode(self, codes: Codes) -> Tensor:
        """The images of codes, levels (N, C, H, W): see :meth:`Autoencoder.decode`."""
        return self.autoencoder.decode(codes)

    def reconstruct(self, x: Tensor) -> Tensor:
        """``decode(encode(x))``."""
        return self.autoencoder.reconstruct(x)

    def sample(
        self,
        n: int,
        seed: int = 0,
        y: Tensor | int | None = None,
        *,
        temperature: float = 1.0,
        method: Method = "cached",
        first: int = 0,
        progress: Progress | None = None,
    ) -> Tensor:
        """Draw ``n`` images: levels (n, C, H, W). The arguments are those of :meth:`Density.sample`."""
        return self.decode(self.sample_codes(n, seed, y, temperature, method, first, progress))

    def sample_codes(
        self,
        n: int,
        seed: int = 0,
        y: Tensor | int | None = None,
        temperature: float = 1.0,
        method: Method = "cached",
        first: int = 0,
        progress: Progress | None = None,
    ) -> Codes:
        """Draw the codes of ``n`` images exactly from the priors, the top first, then each level given the one above.

        Without ``y``, a class is drawn for each image where priors know classes: one for all its levels.
        """
        how = Draw(seed, temperature, method, first, progress)
        if y is None and self.n_classes is not None:
            y = draw_classes(self.knows_classes, torch.empty(n), None, None, how)
        codes: list[Tensor] = []
        for number, name in enumerate(self.names):
            prior = self.priors[name]
            context = self._context(prior, codes[-1]) if codes else None
            told = None if progress is None else self._counted(number, progress)
            arguments = vars(how) | {"first": first + number * APART, "context": context, "progress": told}
            codes.append(prior.sample(n, y=self._known(prior, y), **arguments))
        return tuple(codes)

    def _counted(self, level: int, progress: Progress) -> Progress:
        """The progress of one level as that of all of them, in codes."""
        sizes = [math.prod(shape) for shape in self.autoencoder.code_shapes()]

        def told(so_far: SoFar) -> None:
            done = sum(sizes[:level]) + sizes[level] * so_far.done // so_far.total
            progress(SoFar(done, sum(sizes), so_far.x, so_far.seen, f"{self.names[level]} code"))

        return told

    @torch.no_grad()
    def log_prob(self, codes: Codes, y: Tensor | int | None = None) -> Tensor:
        """``log p(top) + log p(bottom | top)`` of codes, in nats, (N,).

        Without ``y``, priors that know classes give the mixture of all classes with equal weights.
        """
        if y is None and self.n_classes is not None:
            each = [self.log_prob(codes, number) for number in range(self.n_classes)]
            return even_mixture(torch.stack(each), 0)
        total = torch.zeros(len(codes[0]), device=self.autoencoder.device)
        above: Tensor | None = None
        for name, numbers in zip(self.names, codes, strict=True):
            prior = self.priors[name]
            context = None if above is None else self._context(prior, above)
            total += prior.log_prob(numbers, self._known(prior, y), context)
            above = numbers
        return total

    def _known(self, prior: Density, y: Tensor | int | None) -> Tensor | int | None:
        """The classes that a prior takes. A prior that knows none, below or above one that does, takes none."""
        return y if self.n_classes is None or prior.n_classes is not None else None

    def _context(self, prior: Density, above: Tensor) -> Tensor | None:
        return None if prior.context_shape is None else one_hot(above, self.autoencoder.n_codes)
