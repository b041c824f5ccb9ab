"""Layers from outside: right by default, fast by declaration, and told where they are slow."""

from __future__ import annotations

import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pixelcnn_lit import CausalConv2d, CausalLayer, CausalNetwork, LayerCache
from pixelcnn_lit.density import Density
from pixelcnn_lit.likelihood import Categorical
from pixelcnn_lit.sampling import draw
from pixelcnn_lit.sampling.ties import TieBreaker

SIZE = (6, 6)


class SlicedCache(LayerCache):
    """The features of all pixels so far, and attention to a slice of them that grows."""

    recordable = False

    def __init__(self, at, features):
        self.at = at
        self.kept = at.like.new_zeros(len(at.like), at.height * at.width, features)

    def attend(self, x):
        position = self.at.row * self.at.width + self.at.column
        self.kept[:, position].copy_(x)
        seen = self.kept[:, : position + 1]
        return F.scaled_dot_product_attention(x[:, None], seen, seen)[:, 0]


class SlicedCacheThatClaimsTooMuch(SlicedCache):
    recordable = True


class MaskedCache(SlicedCache):
    """Attention to all positions, the later ones masked: the same operations on the same memory in every row."""

    recordable = True

    def __init__(self, at, features):
        super().__init__(at, features)
        pixels = at.height * at.width
        self.positions = torch.zeros(at.width, 1, dtype=torch.long, device=at.like.device)
        self.masks = at.like.new_zeros(at.width, 1, pixels)
        self.numbers = torch.arange(pixels, device=at.like.device)

    def start_row(self):
        for column in range(self.at.width):
            position = self.at.row * self.at.width + column
            self.positions[column] = position
            self.masks[column] = torch.where(self.numbers <= position, 0.0, -torch.inf)

    def attend(self, x):
        column = self.at.column
        self.kept.index_copy_(1, self.positions[column], x[:, None])
        return F.scaled_dot_product_attention(x[:, None], self.kept, self.kept, attn_mask=self.masks[column])[:, 0]


class DecidingCache(SlicedCache):
    """Decides on values, in Python: no recording holds that."""

    recordable = True

    def attend(self, x):
        return x if float(x.sum()) > 0 else -x


class Attention(CausalLayer):
    """Each pixel attends to itself and all earlier ones, by features that are causal already."""

    def __init__(self, features, cache):
        super().__init__()
        self.features, self.cache_type = features, cache

    def forward(self, x, at=None):
        if at is None or at.stage == "known":
            tokens = x.flatten(2).transpose(1, 2)
            if at is not None:
                at.cache(self).kept[:, : tokens.shape[1]] = tokens
            mixed = F.scaled_dot_product_attention(tokens, tokens, tokens, is_causal=True)
            return mixed.transpose(1, 2).reshape(x.shape)
        return at.cache(self).attend(x)

    def new_cache(self, at):
        return self.cache_type(at, self.features)


class AttentionNetwork(CausalNetwork):
    cached_sampling = True

    def __init__(self, cache):
        super().__init__()
        self.embed = CausalConv2d(1, 8, 3, "A")
        self.attention = Attention(8, cache)
        self.out = CausalConv2d(8, 2, 1, "B")

    def forward(self, x, at=None, y=None):
        h = torch.relu(self.embed(x, at))
        return self.out(h + self.attention(h, at), at)


def attention_density(cache):
    torch.manual_seed(3)
    density = Density(AttentionNetwork(cache), Categorical(levels=2), (1, *SIZE)).eval()
    for parameter in density.parameters():
        nn.init.normal_(parameter, std=0.6)
    density.network.out.bias.data.zero_()
    return density


@pytest.mark.parametrize(
    ("cache", "replays"), [(SlicedCache, False), (SlicedCacheThatClaimsTooMuch, False), (MaskedCache, True)]
)
def test_a_layer_whose_operations_change_from_row_to_row_is_not_recorded(cache, replays, monkeypatch):
    """One that claims to be recordable but asks which row it is in is found out."""
    played = []
    play = draw.Recording.play
    monkeypatch.setattr(draw.Recording, "play", lambda self: played.append(self) or play(self))
    density = attention_density(cache)
    assert torch.equal(density.sample(50, seed=1), density.sample(50, seed=1, method="naive"))
    assert bool(played) == replays


@pytest.mark.parametrize("cache", [SlicedCache, MaskedCache])
def test_rows_that_are_drawn_again_after_ties_do_not_see_what_was_drawn_before(cache, monkeypatch):
    monkeypatch.setattr("pixelcnn_lit.sampling.ties.TIE", 0.3)
    overruled = TieBreaker.levels
    monkeypatch.setattr(TieBreaker, "levels", lambda self, *where: 1 - overruled(self, *where))
    density = attention_density(cache)
    assert torch.equal(density.sample(30, seed=1), density.sample(30, seed=1, method="naive"))


def test_a_layer_that_decides_on_values_is_not_recorded():
    class OfOnePixel(Attention):
        def forward(self, x, at=None):
            return torch.where(x.sum((1,), keepdim=True) > 0, x, -x) if at is None else at.cache(self).attend(x)

    density = attention_density(DecidingCache)
    density.network.attention = OfOnePixel(8, DecidingCache)
    each = [density.sample(1, seed=1, first=i) for i in range(8)]  # one at a time: the decision is the image's own
    assert torch.equal(torch.cat(each), density.sample(8, seed=1, method="naive"))


@pytest.mark.parametrize("cache", [SlicedCache, MaskedCache])
def test_known_rows_fill_the_cache_of_a_foreign_layer(cache):
    density = attention_density(cache)
    x = density.sample(20, seed=2)
    known = torch.zeros(SIZE, dtype=torch.bool)
    known[:3] = True
    assert torch.equal(*(density.complete(x, known, 5, method=method) for method in ("cached", "naive")))


class Summing(CausalLayer):
    """The sum of all earlier pixels of the image, kept by the hook after each pixel."""

    looks_at_image = True

    def forward(self, x, at=None):
        if at is None or at.stage == "known":
            if at is not None:
                at.cache(self).kept[:, : x.shape[2]] = x[:, 0]
            sums = x.flatten(2).cumsum(2).reshape(x.shape)
            return sums - x
        kept = at.cache(self).kept
        return (kept[:, : at.row].sum((1, 2)) + kept[:, at.row, : at.column].sum(1))[:, None]

    def new_cache(self, at):
        return SummingCache(at)


class SummingCache(LayerCache):
    def __init__(self, at):
        self.at = at
        self.kept = at.like.new_zeros(len(at.like), at.height, at.width)

    def end_pixel(self):
        self.kept[:, self.at.row, self.at.column] = self.at.image.row[:, self.at.column, 0]


class SumNetwork(CausalNetwork):
    cached_sampling = True

    def __init__(self):
        super().__init__()
        self.sum = Summing()
        self.out = CausalConv2d(1, 3, 1, "B")

    def forward(self, x, at=None, y=None):
        return self.out(torch.sin(self.sum(x, at)), at)


def test_the_hook_after_a_pixel_sees_each_pixel_once_it_is_drawn():
    torch.manual_seed(0)
    density = Density(SumNetwork(), Categorical(levels=3), (1, 5, 4)).eval()
    nn.init.normal_(density.network.out.weight, std=3)
    cached, naive = (density.sample(40, seed=1, method=method) for method in ("cached", "naive"))
    assert torch.equal(cached, naive)
    assert len(cached.unique(dim=0)) > 10
    known = torch.zeros(5, 4, dtype=torch.bool)
    known[:2] = True
    assert torch.equal(*(density.complete(cached, known, 2, method=method) for method in ("cached", "naive")))


def test_a_pixel_that_is_settled_otherwise_is_told_again(monkeypatch):
    """Many ties, all of them settled against float32: the hook must see what was settled, in its place."""
    monkeypatch.setattr("pixelcnn_lit.sampling.ties.TIE", 0.3)
    settled = TieBreaker.levels
    monkeypatch.setattr(TieBreaker, "levels", lambda self, *where: 2 - settled(self, *where))
    torch.manual_seed(0)
    density = Density(SumNetwork(), Categorical(levels=3), (1, 5, 4)).eval()
    nn.init.normal_(density.network.out.weight, std=3)
    assert torch.equal(*(density.sample(30, seed=1, method=method) for method in ("cached", "naive")))


class Wrapper(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


def test_a_wrapped_network_is_sampled_rightly_and_told_once_to_be_slow(caplog):
    density = attention_density(SlicedCache)
    wrapped = Density(Wrapper(density.network), density.likelihood, density.image_shape).eval()
    with caplog.at_level(logging.WARNING):
        drawn = [wrapped.sample(5, seed=1) for _ in range(2)]
    assert torch.equal(drawn[0], density.sample(5, seed=1))
    (record,) = [r for r in caplog.records if "Wrapper" in r.getMessage()]
    assert "each pixel costs a pass over the whole image" in record.getMessage()
