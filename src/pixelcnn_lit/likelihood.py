"""Likelihoods: how the network's output becomes the distribution of each channel of a pixel, given the earlier ones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor


class Likelihood(ABC):
    """The distribution over the levels 0..levels-1 of each channel of a pixel, given its earlier channels.

    The network gives ``n_params(channels)`` parameters per pixel. ``couples_channels`` says which part models the
    dependence between the channels of a pixel:

    * True: the likelihood. The parameters of a pixel must depend on the earlier pixels only.
    * False: the network. The parameters come in one group per channel, and a group may depend on the earlier channels.
    """

    couples_channels: ClassVar[bool]
    """Whether the likelihood, and not the network, lets a channel depend on those before it."""

    def __init__(self, *, levels: int) -> None:
        """``levels`` is the number of levels of each channel, at least 2."""
        self.levels = levels

    @abstractmethod
    def n_params(self, channels: int) -> int:
        """The number of parameters per pixel."""

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Log-probabilities: parameters (N, P, H, W) and levels (N, C, H, W) -> nats (N, C, H, W)."""

    @abstractmethod
    def logits(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Unnormalised log-probabilities of all levels of ``channel``, given the earlier channels in x.

        Parameters (N, P, ...) and levels (N, C, ...) -> (N, levels, ...). Their log-softmax, at the level in x, is
        ``log_prob``.
        """


class Categorical(Likelihood):
    """A softmax over all levels: ``p(x = l) = exp(a_l) / sum_k exp(a_k)``.

    van den Oord et al. (2016), arXiv 1601.06759, section 3.2.

    >>> import torch
    >>> from pixelcnn_lit import Categorical
    >>> likelihood = Categorical(levels=4)
    >>> params = torch.zeros(2, likelihood.n_params(channels=3), 5, 5)
    >>> x = torch.zeros(2, 3, 5, 5, dtype=torch.uint8)
    >>> likelihood.log_prob(params, x)[0, 0, 0, 0].exp()
    tensor(0.2500)
    """

    couples_channels = False

    def n_params(self, channels: int) -> int:
        return channels * self.levels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, C levels, H, W) and levels (N, C, H, W) -> nats (N, C, H, W), in float32 or float64."""
        n, channels, height, width = x.shape
        # With channels last in memory, the logits of a pixel are contiguous, and this reshape copies nothing.
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
    """A discretised mixture of ``n_mix`` logistic distributions, the likelihood of PixelCNN++.

    Level l has the value ``v(l) = 2 l / (levels - 1) - 1`` in [-1, 1]. Its interval reaches half a step,
    ``h = 1 / (levels - 1)``, to either side; the intervals of the lowest and the highest level also contain the tails:

    ``p(l) = sum over k of pi_k (sigma(u) - sigma(w)),  u = (v + h - mu_k) / s_k,  w = (v - h - mu_k) / s_k``

    The mixture is over whole pixels: all channels share the component k. The mean of channel c depends on the earlier
    channels: ``mu_c + sum over b < c of tanh(a_bc) v(x_b)``.

    The code uses ``sigma(u) - sigma(w) = sigma(u) sigma(-w) (1 - exp(w - u))``. It never subtracts two nearly equal
    numbers, so probabilities in the tails are accurate too.

    Parameters per pixel with C channels, ``n_mix`` of each: log pi (unnormalised), C means, C log-scales, and
    C (C - 1) / 2 couplings a.

    Salimans et al., "PixelCNN++" (2017), arXiv 1701.05517, sections 2.1 and 2.2. The smallest scale is h / 4; the paper
    has exp(-7), about h / 4 at 256 levels.

    >>> import torch
    >>> from pixelcnn_lit import LogisticMixture
    >>> likelihood = LogisticMixture(levels=256, n_mix=10)
    >>> likelihood.n_params(channels=3)
    100
    >>> params = torch.randn(2, 100, 5, 5)
    >>> x = torch.randint(256, (2, 3, 5, 5))
    >>> likelihood.log_prob(params, x).shape
    torch.Size([2, 3, 5, 5])
    """

    couples_channels = True

    def __init__(self, *, levels: int, n_mix: int) -> None:
        super().__init__(levels=levels)
        self.n_mix = n_mix
        self.half_step = 1 / (levels - 1)

    def n_params(self, channels: int) -> int:
        return self.n_mix * (1 + 2 * channels + channels * (channels - 1) // 2)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, P, H, W) and levels (N, C, H, W) -> nats (N, C, H, W), in float32 or float64.

        Channel c has ``log p(x_1, ..., x_c) - log p(x_1, ..., x_{c-1})``; each term is a log-sum over the components.
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
        """The log-scales, clamped to their bounds: parameters (N, P / n_mix, n_mix, ...) -> (N, C, n_mix, ...)."""
        return parts[:, 1 + channels : 1 + 2 * channels].clamp(math.log(self.half_step / 4), 20)


class _Mixture:
    """The parameters of a :class:`LogisticMixture`, split by kind, together with the levels x."""

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
        """The means of a channel, shifted by the earlier channels: (N, K, ...)."""
        centre = self._mean[:, channel]
        for earlier in range(channel):
            coupling = self._coupling[:, channel * (channel - 1) // 2 + earlier]
            centre = centre + coupling * self._v[:, earlier, None]
        return centre

    def log_interval(self, channel: int) -> Tensor:
        """``log(sigma(u) - sigma(w))`` at the level in x, for each component: (N, K, ...)."""
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
