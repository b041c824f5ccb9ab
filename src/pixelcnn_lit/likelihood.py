"""What the network's output means: the distribution of one channel of one pixel, given the earlier ones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor


class Likelihood(ABC):
    """A distribution over the levels 0..levels-1 of each channel of a pixel, given those of its channels before.

    The network gives ``n_params(channels)`` parameters for a pixel. With ``couples_channels`` they must depend on the
    earlier pixels alone, and the likelihood lets a channel depend on those before it; else the network does, and the
    parameters come in as many groups as there are channels.
    """

    couples_channels: ClassVar[bool]

    def __init__(self, *, levels: int) -> None:
        """``levels`` of each channel, at least 2."""
        self.levels = levels

    @abstractmethod
    def n_params(self, channels: int) -> int:
        """How many parameters a pixel has."""

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, P, H, W) and levels (N, C, H, W) -> nats (N, C, H, W)."""

    @abstractmethod
    def logits(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Unnormalised log-probabilities of all levels of a channel, given the channels before it in x.

        Parameters (N, P, ...) and levels (N, C, ...) -> (N, levels, ...). Their log-softmax at x is ``log_prob``.
        """


class Categorical(Likelihood):
    """A softmax over all levels: ``p(x = l) = exp(a_l) / sum_k exp(a_k)``, as in PixelCNN (arXiv 1601.06759, 3.2)."""

    couples_channels = False

    def n_params(self, channels: int) -> int:
        return channels * self.levels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, C levels, H, W) and levels (N, C, H, W) -> nats (N, C, H, W), computed in float32 or wider."""
        n, channels, height, width = x.shape
        # With channels last in memory, each pixel's logits lie side by side and this reshape copies nothing.
        logits = params.permute(0, 2, 3, 1).reshape(-1, self.levels)
        if logits.dtype in (torch.bfloat16, torch.float16):
            logits = logits.float()
        target = x.permute(0, 2, 3, 1).reshape(-1).long()
        nats = F.cross_entropy(logits, target, reduction="none")
        return -nats.view(n, height, width, channels).permute(0, 3, 1, 2)

    def logits(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Parameters (N, C levels, ...) -> logits (N, levels, ...)."""
        return params.unflatten(1, (-1, self.levels))[:, channel]


class LogisticMixture(Likelihood):
    """A mixture of ``n_mix`` logistic distributions, cut into levels: that of PixelCNN++.

    Level l stands at ``v(l) = 2 l / (levels - 1) - 1``, with half a step ``h = 1 / (levels - 1)`` to either side, and
    the outermost levels take the tails:

    ``p(l) = sum over k of pi_k (sigma(u) - sigma(w)),  u = (v + h - mu_k) / s_k,  w = (v - h - mu_k) / s_k``

    The mixture is one of whole pixels: its channels share k, and the mean of a channel moves with those before it,
    ``mu_c + sum over b < c of tanh(a_bc) v(x_b)``. As ``sigma(u) - sigma(w) = sigma(u) sigma(-w) (1 - exp(w - u))``,
    nothing is subtracted that is nearly equal: probabilities are exact in the tails too, down to the smallest float.

    Salimans et al., "PixelCNN++" (2017), arXiv 1701.05517, sections 2.1 and 2.2. Their least scale at 256 levels,
    exp(-7), is here a quarter of h at any number of levels.

    Parameters of a pixel with C channels, n_mix of each: log pi, then C means, C log-scales, C (C - 1) / 2 couplings.
    """

    couples_channels = True

    def __init__(self, *, levels: int, n_mix: int) -> None:
        super().__init__(levels=levels)
        self.n_mix = n_mix
        self.half_step = 1 / (levels - 1)

    def n_params(self, channels: int) -> int:
        return self.n_mix * (1 + 2 * channels + channels * (channels - 1) // 2)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, P, H, W) and levels (N, C, H, W) -> nats (N, C, H, W), computed in float32 or wider.

        Those of a channel are ``log p(x_1, ..., x_c) - log p(x_1, ..., x_{c-1})``, each a sum over the mixture.
        """
        mixture = _Mixture(self, params, x)
        joint = mixture.log_pi
        totals = [torch.zeros_like(joint[:, 0])]
        for channel in range(x.shape[1]):
            joint = joint + mixture.log_interval(channel)
            totals.append(joint.logsumexp(1))
        return torch.stack(totals, dim=1).diff(dim=1)

    def logits(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Log-probabilities: parameters (N, P, ...) and levels (N, C, ...) -> (N, levels, ...)."""
        mixture = _Mixture(self, params, x)
        log_weight = mixture.log_pi
        for earlier in range(channel):
            log_weight = log_weight + mixture.log_interval(earlier)
        probability = (log_weight.softmax(1)[:, None] * mixture.intervals(channel)).sum(2)
        return probability.clamp_min(torch.finfo(probability.dtype).tiny).log()

    def log_scale(self, parts: Tensor, channels: int) -> Tensor:
        """The log-scales within the bounds, of parameters (N, P / n_mix, n_mix, ...): (N, C, n_mix, ...)."""
        return parts[:, 1 + channels : 1 + 2 * channels].clamp(math.log(self.half_step / 4), 20)


class _Mixture:
    """The parameters of a :class:`LogisticMixture`, taken apart, beside the levels x that they are asked about."""

    def __init__(self, likelihood: LogisticMixture, params: Tensor, x: Tensor) -> None:
        if params.dtype in (torch.bfloat16, torch.float16):
            params = params.float()
        self._last, self._half_step, channels = likelihood.levels - 1, likelihood.half_step, x.shape[1]
        self._x = x
        self._v = x.to(params.dtype) * (2 * self._half_step) - 1
        parts = params.unflatten(1, (-1, likelihood.n_mix))
        self.log_pi = parts[:, 0].log_softmax(1)
        self._mean = parts[:, 1 : 1 + channels]
        self._scale = likelihood.log_scale(parts, channels).neg().exp()
        self._coupling = parts[:, 1 + 2 * channels :].tanh()

    def _centre(self, channel: int) -> Tensor:
        """The means of a channel, moved by the channels before it: (N, K, ...)."""
        centre = self._mean[:, channel]
        for earlier in range(channel):
            coupling = self._coupling[:, channel * (channel - 1) // 2 + earlier]
            centre = centre + coupling * self._v[:, earlier, None]
        return centre

    def log_interval(self, channel: int) -> Tensor:
        """``log(sigma(u) - sigma(w))`` of the level that x has, for each component: (N, K, ...)."""
        scale, x = self._scale[:, channel], self._x[:, channel, None]
        offset = self._v[:, channel, None] - self._centre(channel)
        zero = torch.zeros((), dtype=offset.dtype, device=offset.device)
        below = torch.where(x == self._last, zero, F.logsigmoid((offset + self._half_step) * scale))
        above = torch.where(x == 0, zero, F.logsigmoid((self._half_step - offset) * scale))
        inner = torch.log(-torch.expm1(-2 * self._half_step * scale))
        return below + above + torch.where((x == 0) | (x == self._last), zero, inner)

    def intervals(self, channel: int) -> Tensor:
        """``sigma(u) - sigma(w)`` of every level, for each component: (N, levels, K, ...)."""
        scale, centre = self._scale[:, None, channel], self._centre(channel)[:, None]
        levels = torch.arange(self._last, device=centre.device, dtype=centre.dtype)
        edges = ((2 * levels + 1) * self._half_step - 1).view(1, -1, *[1] * (centre.dim() - 2))
        u = (edges - centre) * scale
        inner = -torch.expm1(-2 * self._half_step * scale)
        below, above = torch.sigmoid(u), torch.sigmoid(-u)
        return torch.cat([below[:, :1], below[:, 1:] * above[:, :-1] * inner, above[:, -1:]], dim=1)
