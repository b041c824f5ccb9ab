"""A likelihood from outside the package: a Gaussian over the levels, cut off at both ends.

A network gives two numbers for each channel of a pixel, m and t. Level l stands at ``v(l) = l / (levels - 1)``, and

``p(l) is proportional to exp(-(v(l) - mu)^2 / (2 s^2)),  mu = m + 1/2,  s = exp(t) / 4``

with s at least a quarter of the step between two levels. So a network that says 0 begins in the middle of the range,
and a pixel costs 2 numbers a channel whatever the number of levels. One hill a pixel is often too simple, but
where levels are many it learns from far fewer images than a softmax. ``plugins=[discrete_gaussian]`` names it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pixelcnn_lit import Likelihood, register_likelihood
from pixelcnn_lit.config import LikelihoodConfig
from pixelcnn_lit.sampling.ties import error_gain

LIKELY = 30.0
"""A level whose logit is so many nats below the best one is never drawn, as far as a sample can tell."""


class DiscreteGaussian(Likelihood):
    """The Gaussian above. Parameters of a pixel with C channels: m and t of each, (N, 2 C, ...)."""

    couples_channels = False  # the network tells the channels apart: it gets groups = C

    def n_params(self, channels: int) -> int:
        return 2 * channels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Parameters (N, 2 C, H, W) and levels (N, C, H, W) -> nats (N, C, H, W)."""
        each = [self.logits(params, x, channel) for channel in range(x.shape[1])]
        logits = torch.stack(each, dim=1)  # (N, C, levels, H, W)
        return logits.log_softmax(2).gather(2, x[:, :, None].long())[:, :, 0]

    def logits(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Unnormalised log-probabilities: parameters (N, 2 C, ...) -> (N, levels, ...)."""
        distance, _ = self.distances(params, channel)
        return -0.5 * distance.square()

    def distances(self, params: Tensor, channel: int) -> tuple[Tensor, Tensor]:
        """How far each level is from the mean, in standard deviations, (N, levels, ...); and s, (N, 1, ...)."""
        if params.dtype in (torch.bfloat16, torch.float16):
            params = params.float()
        mean = params[:, 2 * channel, None] + 0.5
        least = math.log(0.25 / (self.levels - 1))
        scale = (params[:, 2 * channel + 1, None] - math.log(4)).clamp(least, 3).exp()
        levels = torch.arange(self.levels, device=params.device, dtype=params.dtype)
        v = (levels / (self.levels - 1)).view(1, -1, *[1] * (params.dim() - 2))
        return (v - mean) / scale, scale


class DiscreteGaussianConfig(LikelihoodConfig):
    """conf/likelihood/discrete_gaussian.yaml: it has no keys of its own."""


# The sampler settles ties in float64: levels whose logits lie closer than float32 can tell. So it asks by how much the
# logits magnify a small error of the parameters. Without the next function it finds out by moving the parameters a
# little, twice, which will do for any likelihood. A formula saves that work.
@error_gain.register
def gaussian_gain(likelihood: DiscreteGaussian, params: Tensor, x: Tensor, channel: int) -> Tensor:
    """The logits' largest derivative, over levels that can be drawn: parameters (N, P), levels (N, C) -> (N,).

    With z the distance, ``d logit / d m = z / s`` and ``d logit / d t = z^2``.
    """
    z, scale = likelihood.distances(params, channel)
    logits = -0.5 * z.square()
    likely = logits > logits.amax(1, keepdim=True) - LIKELY
    size = 1 + params[:, 2 * channel : 2 * channel + 2].abs()  # an error is relative to what it is an error of
    moves = z.abs() / scale * size[:, :1] + z.square() * size[:, 1:]
    return torch.where(likely, moves, torch.zeros_like(moves)).amax(1)


register_likelihood("discrete_gaussian", DiscreteGaussian, DiscreteGaussianConfig)
