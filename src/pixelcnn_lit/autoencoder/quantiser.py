"""The codebook: each vector becomes the nearest code, and the codes follow the vectors.

The package vector-quantize-pytorch does the work. It is an extra, and imported when a codebook is built.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.errors import UserError


class Quantiser(nn.Module):
    """A codebook of ``n_codes`` vectors of ``code_size`` numbers; van den Oord et al. (2017), arXiv 1711.00937.

    * The codes are moving averages of the vectors that become them, with ``decay`` (appendix A.1 of that paper).
    * :meth:`initialise` puts them at the centres of a k-means clustering of a first batch.
    * A code that, on average, fewer than ``revive_below`` vectors of a batch become is moved to a random vector of the
      batch (Łańcucki et al., 2020, arXiv 2005.08520, do so too).
    * The gradient passes straight through.

    Raises UserError if the package vector-quantize-pytorch is not installed.
    """

    def __init__(self, *, n_codes: int, code_size: int, decay: float, revive_below: float) -> None:
        super().__init__()
        self.n_codes, self.code_size = n_codes, code_size
        self.codebook: Any = _vector_quantize()(
            dim=code_size,
            codebook_size=n_codes,
            decay=decay,
            kmeans_init=True,
            threshold_ema_dead_code=revive_below,
            commitment_weight=1.0,
            rotation_trick=False,
            sync_codebook=False,
            accept_image_fmap=True,
        )

    @property
    def has_codes(self) -> bool:
        """Whether the codes have been initialised, or loaded."""
        return bool(self.codebook._codebook.initted)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        """Put the codes at the centres of clusters of the vectors of x (N, code_size, H, W). Returns x, quantised."""
        vectors = x.float().movedim(1, -1).reshape(1, -1, self.code_size)
        self.codebook._codebook.init_embed_(vectors)
        was_training = self.training
        quantised = self.eval()(x)[0]
        self.train(was_training)
        return quantised

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors (N, code_size, H, W) to the nearest codes: as vectors, as numbers (N, 1, H, W), and the commitment.

        The commitment is the mean of ``(x - code)^2``, whose gradient is that of x alone. In training the codes move,
        after they are used. Raises RuntimeError before :meth:`initialise`.
        """
        if not self.has_codes:
            raise RuntimeError("the codebook has no codes yet: initialise(x) comes first, with a batch of images")
        # In float32 whatever the precision of training: a distance in bfloat16 would choose other codes.
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            quantised, codes, commitment = self.codebook(x)
            if not self.training:
                commitment = (x - quantised).square().mean()
        return quantised, codes[:, None], commitment

    def vectors(self, codes: Tensor) -> Tensor:
        """The vectors of codes: (N, 1, H, W) numbers below ``n_codes`` -> (N, code_size, H, W)."""
        return self.codebook.codebook[codes[:, 0].long()].movedim(-1, 1)


def _vector_quantize() -> type[nn.Module]:
    try:
        found: type[nn.Module] = imported("vector_quantize_pytorch:VectorQuantize")
    except ModuleNotFoundError as error:
        raise UserError("an autoencoder needs vector-quantize-pytorch; pip install 'pixelcnn-lit[vqvae]'") from error
    return found
