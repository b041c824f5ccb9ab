"""Networks and likelihoods of one's own are exact, and sampled the fast way as the slow way."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from helpers.builders import all_images, dependence, spread_out
from pixelcnn_lit import Categorical, Density, LogisticMixture
from pixelcnn_lit.config.data import DATA_SETS
from pixelcnn_lit.config.likelihood import LIKELIHOODS
from pixelcnn_lit.config.model import NETWORKS
from pixelcnn_lit.models import PixelCNN
from pixelcnn_lit.sampling import draw, ties

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def imported(monkeypatch):
    """Imports a module of an example; what it registers is forgotten after the test."""
    for parts in (DATA_SETS, LIKELIHOODS, NETWORKS):
        monkeypatch.setattr(parts, "_parts", dict(parts._parts))

    def load(folder: str, name: str):
        monkeypatch.syspath_prepend(EXAMPLES / folder)
        monkeypatch.delitem(importlib.sys.modules, name, raising=False)
        module = importlib.import_module(name)
        monkeypatch.delitem(importlib.sys.modules, name)
        return module

    return load


def attention(module, cache="MaskedCache", size=(5, 6), n_classes=None, channels=1):
    torch.manual_seed(0)
    likelihood = Categorical(levels=3) if channels == 1 else LogisticMixture(levels=3, n_mix=2)
    sizes = {"hidden": 6, "kernel_size": 3, "first_kernel_size": 3}
    n_params = likelihood.n_params(channels)
    network = module.AttentionPixelCNN(
        image_channels=channels, n_params=n_params, groups=1, n_classes=n_classes, **sizes
    )
    network.attention.cache = getattr(module, cache)
    return spread_out(Density(network, likelihood, (channels, *size), n_classes))


def both(density, n=30, **options):
    return [density.sample(n, seed=1, method=method, **options) for method in ("cached", "naive")]


@pytest.mark.parametrize(("cache", "replays"), [("SlicedCache", False), ("MaskedCache", True)])
@pytest.mark.parametrize("channels", [1, 3])
def test_attention_is_sampled_rightly_by_either_cache(imported, cache, replays, channels, monkeypatch):
    played = []
    play = draw.Recording.play
    monkeypatch.setattr(draw.Recording, "play", lambda self: played.append(self) or play(self))
    density = attention(imported("own_network", "attention_pixelcnn"), cache, channels=channels)
    cached, naive = both(density)
    assert torch.equal(cached, naive)
    assert len(cached.unique(dim=0)) > 10
    assert bool(played) == replays
    known = torch.zeros(density.image_shape[1:], dtype=torch.bool)
    known[:2] = True
    known[3, 1] = True
    assert torch.equal(*(density.complete(cached, known, 5, method=method) for method in ("cached", "naive")))


@pytest.mark.parametrize("cache", ["SlicedCache", "MaskedCache"])
def test_attention_does_not_see_the_rest_of_a_row_that_is_drawn_again(imported, cache, monkeypatch):
    """Nearly every pixel is a tie here, and settled as no computation would: so most of a row is computed again."""
    monkeypatch.setattr(ties, "TIE", 0.3)
    other = lambda self, images, row, column, channel, noise: noise.argmin(1).to(torch.uint8)  # noqa: E731
    monkeypatch.setattr(ties.TieBreaker, "levels", other)
    assert torch.equal(*both(attention(imported("own_network", "attention_pixelcnn"), cache)))


def test_attention_given_a_class(imported):
    density = attention(imported("own_network", "attention_pixelcnn"), n_classes=2)
    assert torch.equal(*both(density, y=1))
    assert not torch.equal(density.sample(5, seed=1, y=0), density.sample(5, seed=1, y=1))


def test_attention_is_causal_and_sums_to_one(imported):
    density = attention(imported("own_network", "attention_pixelcnn"), size=(2, 3))
    assert density.log_prob(all_images(3, (1, 2, 3))).double().exp().sum().item() == pytest.approx(1, abs=1e-5)
    depends = dependence(density.network, 4, 4).view(16, 16)
    assert not depends.triu().any()
    assert depends[15, :4].any()  # three rows above, where the convolutions alone see two


def test_attention_says_that_it_needs_one_group(imported):
    module = imported("own_network", "attention_pixelcnn")
    with pytest.raises(ValueError, match="channels"):
        module.AttentionPixelCNN(
            image_channels=3, n_params=6, groups=3, hidden=4, kernel_size=3, first_kernel_size=3, n_classes=None
        )


def gaussian(module, levels=5, channels=1, size=(5, 4)):
    torch.manual_seed(0)
    likelihood = module.DiscreteGaussian(levels=levels)
    network = PixelCNN(
        image_channels=channels,
        n_params=likelihood.n_params(channels),
        groups=channels,
        n_res=1,
        hidden=6,
        kernel_size=3,
        first_kernel_size=3,
        n_classes=None,
    )
    return spread_out(Density(network, likelihood, (channels, *size)))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_gaussian_is_sampled_rightly_with_and_without_its_formula(imported, channels, monkeypatch):
    density = gaussian(imported("own_likelihood", "discrete_gaussian"), 256, channels)
    cached, naive = both(density)
    assert torch.equal(cached, naive)
    monkeypatch.setattr(ties, "error_gain", ties.error_gain.dispatch(object))
    assert torch.equal(density.sample(30, seed=1), naive)


def test_the_gaussian_sums_to_one_and_its_logits_are_its_log_probs(imported):
    density = gaussian(imported("own_likelihood", "discrete_gaussian"), 3, 2, (1, 3))
    x = all_images(3, (2, 1, 3))
    assert density.log_prob(x).double().exp().sum().item() == pytest.approx(1, abs=1e-5)
    nats = density.logits(x).log_softmax(1).gather(1, x[:, None].long()).flatten(1).sum(1)
    torch.testing.assert_close(nats, density.log_prob(x), atol=1e-4, rtol=1e-5)


def test_the_formula_of_the_gaussian_bounds_what_small_errors_do(imported):
    module = imported("own_likelihood", "discrete_gaussian")
    likelihood = module.DiscreteGaussian(levels=256)
    torch.manual_seed(0)
    params = torch.randn(500, 2).double() * torch.tensor([1.0, 3.0])
    x = torch.zeros(500, 1, dtype=torch.long)
    measured = ties.error_gain.dispatch(object)(likelihood, params, x, 0)
    formula = ties.error_gain(likelihood, params, x, 0)
    assert (formula > 0.5 * measured).all()


def test_stripes_are_the_same_for_the_same_config(imported):
    module = imported("own_data", "stripes")
    section = module.StripesData(
        name="stripes",
        levels=4,
        binarize=None,
        image_shape=(3, 8, 7),
        batch_size=4,
        n_classes=3,
        split_seed=1,
        n_images=40,
        noise=0.1,
    )
    first, again = module.load(section), module.load(section)
    assert first.train.images.shape == (32, 3, 8, 7)
    assert set(first.train.labels.tolist()) == {0, 1, 2}
    assert (first.test.images == again.test.images).all()
