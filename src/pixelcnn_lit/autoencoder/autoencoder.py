"""VQ-VAE and VQ-VAE-2: images to maps of codes, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pixelcnn_lit.autoencoder.layers import Decoder, Doubling, Encoder
from pixelcnn_lit.autoencoder.quantiser import Quantiser
from pixelcnn_lit.config.codes import CODE_LEVELS, code_shapes
from pixelcnn_lit.nn.inputs import level_type

Codes = tuple[Tensor, ...]
"""A map of codes for each level, the top one first: (N, 1, h, w), numbers from 0 to n_codes - 1."""


class Reconstruction(NamedTuple):
    """What :meth:`Autoencoder.forward` gives."""

    images: Tensor
    """(N, C, H, W), where the images are in [0, 1]; not clamped."""
    codes: Codes
    commitment: Tensor
    """The mean squared distances of vectors to their codes, summed over the levels; a scalar."""


class Autoencoder(nn.Module):
    """Hierarchical VQ-VAE, figure 2a of Razavi et al. (2019), arXiv 1906.00446; with one level, VQ-VAE.

    ::

        x --> encoders[bottom] --+--> encoders[top] --> quantisers[top] --> e_top --+
                                 |                                                  |
                                 +<------------- decoders[top] <--------------------+
                                 |                                                  |
                                 +--> quantisers[bottom] --> e_bottom --+           |
                                                                        +<- doubling+
        x' <-- decoders[bottom] <---------------------------------------+

    ``downsampling`` has a factor for each level, the bottom's first: [4, 2] makes codes of 1/4 and, at the top, of 1/8
    of the images' height and width.

    Where it differs from the paper: the codes of a level start at the centres of a clustering, and dead ones are
    revived (:class:`~pixelcnn_lit.autoencoder.quantiser.Quantiser`).

    >>> import torch
    >>> from pixelcnn_lit.config import compose_vqvae
    >>> from pixelcnn_lit.factory import build_autoencoder
    >>> overrides = ["data=digits", "autoencoder.hidden=8", "autoencoder.n_codes=16"]
    >>> autoencoder = build_autoencoder(compose_vqvae(overrides)).eval()
    >>> x = torch.randint(256, (4, 1, 28, 28))
    >>> autoencoder.initialise(x)
    >>> [tuple(codes.shape) for codes in autoencoder.encode(x)]
    [(4, 1, 7, 7), (4, 1, 14, 14)]
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        levels: int,
        downsampling: Sequence[int],
        hidden: int,
        n_res: int,
        res_hidden: int,
        n_codes: int,
        code_size: int,
        decay: float,
        revive_below: float,
    ) -> None:
        """``levels`` is the number of levels of a pixel. The other arguments are the keys of conf/autoencoder.

        Raises UserError if the package vector-quantize-pytorch is not installed.
        """
        super().__init__()
        self.image_shape, self.levels, self.n_codes = tuple(image_shape), levels, n_codes
        self.names, self.downsampling = CODE_LEVELS[len(downsampling)], tuple(downsampling)
        parts = ("encoders", "project", "quantisers", "decoders", "doublings")
        self.encoders, self.project, self.quantisers, self.decoders, self.doublings = (nn.ModuleDict() for _ in parts)
        sizes = {"hidden": hidden, "n_res": n_res, "res_hidden": res_hidden}
        for coarser, (name, factor) in enumerate(zip(self.names, reversed(downsampling), strict=True)):
            finest = name == self.names[-1]
            above, latent = code_size * min(coarser, 1), code_size * (coarser + 1)
            inner, outer = (image_shape[0], image_shape[0]) if finest else (hidden, code_size)
            self.encoders[name] = Encoder(channels=inner, factor=factor, **sizes)
            self.project[name] = nn.Conv2d(hidden + above, code_size, 1)
            self.quantisers[name] = Quantiser(
                n_codes=n_codes, code_size=code_size, decay=decay, revive_below=revive_below
            )
            self.decoders[name] = Decoder(channels_in=latent, channels_out=outer, factor=factor, **sizes)
            if not finest:
                self.doublings[name] = Doubling(channels=latent, factor=factor)

    def forward(self, x: Tensor) -> Reconstruction:
        """Images (N, C, H, W) in [0, 1], through the codes.

        Raises RuntimeError before :meth:`initialise`, unless weights were loaded.
        """
        latent, codes, commitment = self._coded(x)
        return Reconstruction(self.decoders[self.names[-1]](latent), codes, commitment)

    def _coded(self, x: Tensor) -> tuple[Tensor, Codes, Tensor]:
        """The quantised vectors of all levels at the resolution of the bottom, the codes, and the commitment."""
        codes, commitments = [], []

        def quantise(name: str, vectors: Tensor) -> Tensor:
            quantised, numbers, commitment = self.quantisers[name](vectors)
            codes.append(numbers)
            commitments.append(commitment)
            return quantised

        latent = self._latent(x, quantise)
        return latent, tuple(codes), torch.stack(commitments).sum()

    def _latent(self, x: Tensor, quantise: Callable[[str, Tensor], Tensor]) -> Tensor:
        """Walk through the levels of codes; ``quantise`` gives the quantised vectors of each.

        The top comes first: what its codes say already, those of the bottom need not say again.
        """
        features = {}
        for name in reversed(self.names):
            x = features[name] = self.encoders[name](x)
        latent, above = None, ""
        for name in self.names:
            h = features[name]
            if latent is not None:
                h = torch.cat([h, self.decoders[above](latent)], 1)
            quantised = quantise(name, self.project[name](h))
            latent, above = self._joined(latent, above, quantised), name
        assert latent is not None
        return latent

    def _joined(self, latent: Tensor | None, above: str, quantised: Tensor) -> Tensor:
        """The vectors of the levels above, at this level's resolution, beside its own."""
        return quantised if latent is None else torch.cat([self.doublings[above](latent), quantised], 1)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Put the codes of each level at the centres of clusters of a first batch x (N, C, H, W) of levels."""
        self._latent(self.normalise(x), lambda name, vectors: self.codebook(name).initialise(vectors))

    def normalise(self, x: Tensor) -> Tensor:
        """Levels as the network sees them: in [0, 1], in the type of its weights."""
        return x.to(next(self.parameters()).dtype) / (self.levels - 1)

    def quantise(self, images: Tensor) -> Tensor:
        """Images in [0, 1], or beyond, as the nearest levels, uint8."""
        return (images.clamp(0, 1) * (self.levels - 1)).round().to(torch.uint8)

    @torch.inference_mode()
    def encode(self, x: Tensor) -> Codes:
        """The codes of levels x (N, C, H, W), a map (N, 1, h, w) for each level of codes, the top one first.

        Call it in evaluation mode: in training the codes would move. The maps are uint8 for up to 256 codes, and of
        wider integers for more.
        """
        kind = level_type(self.n_codes)
        return tuple(numbers.to(kind) for numbers in self._coded(self.normalise(x))[1])

    @torch.inference_mode()
    def decode(self, codes: Codes) -> Tensor:
        """The images of codes as levels (N, C, H, W), uint8. ``codes`` is what :meth:`encode` gives.

        Raises ValueError if a map is missing, or has a number that is no code.
        """
        self._check(codes)
        latent, above = None, ""
        for name, numbers in zip(self.names, codes, strict=True):
            latent, above = self._joined(latent, above, self.codebook(name).vectors(numbers)), name
        return self.quantise(self.decoders[self.names[-1]](latent))

    def _check(self, codes: Codes) -> None:
        if len(codes) != len(self.names):
            raise ValueError(f"{len(codes)} maps of codes; this autoencoder has {len(self.names)}: {self.names}")
        for name, numbers in zip(self.names, codes, strict=True):
            if numbers.ndim != 4 or numbers.shape[1] != 1:
                raise ValueError(f"the map {name} has shape {tuple(numbers.shape)}; it must be (N, 1, h, w)")
            if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.n_codes:
                low, high = int(numbers.min()), int(numbers.max())
                raise ValueError(f"the map {name} has codes from {low} to {high}; they go from 0 to {self.n_codes - 1}")
        for factor, above, below in zip(reversed(self.downsampling), codes, codes[1:], strict=False):
            if len(above) != len(below):
                raise ValueError(f"the maps are of {len(above)} and {len(below)} images")
            expected = [factor * side for side in above.shape[2:]]
            if list(below.shape[2:]) != expected:
                first, second, right = (
                    "x".join(map(str, size)) for size in (above.shape[2:], below.shape[2:], expected)
                )
                raise ValueError(f"a map of {first} codes; beside it belongs one of {right}, not {second}")

    def reconstruct(self, x: Tensor) -> Tensor:
        """Levels x (N, C, H, W) through the codes: ``decode(encode(x))``."""
        return self.decode(self.encode(x))

    def codebook(self, name: str) -> Quantiser:
        """The codebook of a level of codes."""
        found = self.quantisers[name]
        assert isinstance(found, Quantiser)
        return found

    def code_shapes(self) -> tuple[tuple[int, int], ...]:
        """The height and width of each map of codes, for images of ``image_shape``."""
        return code_shapes(self.image_shape, self.downsampling)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device
