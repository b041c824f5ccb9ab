from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelcnn_lit.likelihood import Categorical, LogisticMixture


def test_categorical_is_a_log_softmax_over_levels_for_each_channel():
    torch.manual_seed(0)
    likelihood = Categorical(levels=5)
    params, x = torch.randn(2, likelihood.n_params(3), 4, 6), torch.randint(0, 5, (2, 3, 4, 6))
    logits = torch.stack([likelihood.logits(params, x, channel) for channel in range(3)], dim=1)
    assert logits.shape == (2, 3, 5, 4, 6)
    expected = logits.log_softmax(2).gather(2, x[:, :, None])[:, :, 0]
    torch.testing.assert_close(likelihood.log_prob(params, x), expected)


def test_half_precision_parameters_are_summed_in_float32():
    params = torch.randn(1, 256, 2, 2)
    x = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    nats = Categorical(levels=256).log_prob(params.bfloat16(), x)
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats, Categorical(levels=256).log_prob(params.bfloat16().float(), x))


def textbook(params: torch.Tensor, x: torch.Tensor, levels: int, n_mix: int) -> torch.Tensor:
    """The formula of PixelCNN++ for one pixel (P,), (C,) in float64, by a sum of differences of two sigmoids: p(x)."""
    channels = len(x)
    v = 2 * x.double() / (levels - 1) - 1
    log_pi, mean, log_scale, coupling = (
        params.double().view(-1, n_mix).split([1, channels, channels, channels * (channels - 1) // 2])
    )
    total = 0.0
    for k in range(n_mix):
        p = log_pi[0].softmax(0)[k]
        for c in range(channels):
            mu = mean[c, k] + sum(torch.tanh(coupling[c * (c - 1) // 2 + b, k]) * v[b] for b in range(c))
            s, h = log_scale[c, k].exp(), 1 / (levels - 1)
            upper = 1 if x[c] == levels - 1 else torch.sigmoid((v[c] + h - mu) / s)
            lower = 0 if x[c] == 0 else torch.sigmoid((v[c] - h - mu) / s)
            p = p * (upper - lower)
        total = total + p
    return total


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [2, 5, 256])
def test_the_mixture_is_the_formula_of_its_paper(channels, levels):
    torch.manual_seed(0)
    likelihood = LogisticMixture(levels=levels, n_mix=3)
    params = torch.rand(8, likelihood.n_params(channels), 1, 1, dtype=torch.double) * 2 - 1  # no scale below the least
    x = torch.randint(0, levels, (8, channels, 1, 1))
    expected = torch.stack([textbook(params[i, :, 0, 0], x[i, :, 0, 0], levels, 3) for i in range(8)])
    torch.testing.assert_close(likelihood.log_prob(params, x).sum(1)[:, 0, 0].exp(), expected)


@given(levels=st.sampled_from([2, 3, 16, 256]), spread=st.sampled_from([0.1, 1.0, 10.0]), seed=st.integers(0, 99))
def test_the_probabilities_of_all_levels_sum_to_one(levels, spread, seed):
    likelihood = LogisticMixture(levels=levels, n_mix=4)
    params = torch.randn(1, likelihood.n_params(1), generator=torch.Generator().manual_seed(seed)) * spread
    x = torch.arange(levels).view(1, 1, 1, levels)
    log_prob = likelihood.log_prob(params[:, :, None, None].expand(-1, -1, 1, levels), x)[0, 0, 0]
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=2e-5)
    torch.testing.assert_close(likelihood.logits(params, x[..., 0], 0)[0].exp(), log_prob.exp(), atol=1e-6, rtol=1e-3)


def test_the_channels_of_a_pixel_sum_to_one_together_and_one_by_one():
    torch.manual_seed(1)
    likelihood = LogisticMixture(levels=3, n_mix=2)
    x = torch.tensor(list(itertools.product(range(3), repeat=3)))[:, :, None, None]
    params = torch.randn(1, likelihood.n_params(3), 1, 1).expand(27, -1, 1, 1)
    log_prob = likelihood.log_prob(params, x)
    assert log_prob.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)
    for channel in range(3):
        logits = likelihood.logits(params[..., 0, 0], x[..., 0, 0], channel)
        expected = logits.log_softmax(1).gather(1, x[:, channel, :, 0])[:, 0]
        torch.testing.assert_close(log_prob[:, channel, 0, 0], expected, atol=1e-5, rtol=1e-4)


def test_tails_are_exact_where_a_difference_of_sigmoids_would_vanish():
    likelihood = LogisticMixture(levels=256, n_mix=1)
    mean, log_scale = -1.0, -5.0
    params = torch.tensor([0.0, mean, log_scale]).view(1, 3, 1, 1).requires_grad_()
    nats = likelihood.log_prob(params, torch.full((1, 1, 1, 1), 200))
    u = (2 * 200 / 255 - 1 - mean) * math.exp(-log_scale)
    d = math.exp(-log_scale) / 255
    # Far above the mean 1 - sigma(u) is e^-u: log p = -(u - d) + log(1 - e^(-2d)).
    assert nats.item() == pytest.approx(-(u - d) + math.log1p(-math.exp(-2 * d)), rel=1e-5)
    nats.sum().backward()
    assert params.grad.isfinite().all()
    half = likelihood.log_prob(params.detach().bfloat16(), torch.full((1, 1, 1, 1), 200))
    assert half.dtype == torch.float32
    assert half.isfinite().all()


@pytest.mark.parametrize("value", [-1e4, -50.0, 50.0, 1e4])
def test_extreme_parameters_give_finite_nats_and_gradients(value):
    likelihood = LogisticMixture(levels=256, n_mix=2)
    params = torch.full((1, likelihood.n_params(3), 1, 3), value, requires_grad=True)
    x = torch.tensor([0, 128, 255]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    nats = likelihood.log_prob(params, x)
    nats.sum().backward()
    assert nats.isfinite().all()
    assert params.grad.isfinite().all()
