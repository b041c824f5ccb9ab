"""What newcomers get wrong in a network or likelihood of their own is said before the first step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pixelcnn_lit import CausalConv2d, CausalNetwork, build, compose
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.likelihood import Categorical, Likelihood
from pixelcnn_lit.training import selfcheck

CONFIG = compose(["data.levels=4"])


class Net(CausalNetwork):
    """Right as it is; each keyword makes one mistake."""

    cached_sampling = True

    def __init__(self, channels=1, first="A", groups=None, between=None, n_params=None, at=True, cached=True, end=None):
        super().__init__()
        groups = channels if groups is None else groups
        self.hands_on = at
        self.cached_sampling = cached
        self.embed = CausalConv2d(channels, 6, 3, first, channels)
        self.between = between
        self.end = end or (lambda h: h)
        self.conv = CausalConv2d(6, 6, 3, "B", groups)
        self.out = CausalConv2d(6, n_params or 4 * channels, 1, "B", groups)

    def forward(self, x, at=None, y=None):
        h = self.embed(x, at)
        if self.between is not None:
            h = self.between(h)
        return self.end(self.out(self.conv(torch.relu(h), at if self.hands_on else None), at))


def density(likelihood=None, channels=1, **mistakes):
    torch.manual_seed(0)
    return Density(Net(channels, **mistakes), likelihood or Categorical(levels=4), (channels, 8, 8))


class TooGood(Categorical):
    def log_prob(self, params, x):
        return super().log_prob(params, x) / 10


class Noise(nn.Module):
    def forward(self, h):
        return h if self.training else h + torch.randn_like(h)


class Fails(nn.Module):
    def forward(self, h):
        if self.training:
            raise OSError("gone")
        return h


class Silent(Categorical):
    def log_prob(self, params, x):
        return None


class Lost(Categorical):
    def logits(self, params, x, channel):
        raise KeyError("hmm")


class Flat(Likelihood):
    """Right, and of another kind than ours."""

    couples_channels = False

    def n_params(self, channels):
        return 4 * channels

    def log_prob(self, params, x):
        return Categorical(levels=4).log_prob(params, x)

    def logits(self, params, x, channel):
        return Categorical(levels=4).logits(params, x, channel)


@pytest.mark.parametrize("options", [{}, {"channels": 3}, {"likelihood": Flat(levels=4)}, {"cached": False}])
def test_what_is_right_passes_and_leaves_no_trace(options):
    checked = density(**options).train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    selfcheck.check_foreign_parts(checked, CONFIG)
    assert torch.equal(torch.get_rng_state(), before)
    assert checked.training


@pytest.mark.parametrize(
    ("mistakes", "message"),
    [
        ({"first": "B"}, r"pixel \(0, 0\) sees channel 0 of pixel \(0, 0\)"),
        ({"channels": 3, "groups": 1}, "so that it is no distribution"),
        ({"n_params": 5}, r"gives parameters of shape \(2, 5, 6, 5\).*asks for \(2, 4, 6, 5\): n_params=4"),
        ({"at": False}, "cannot be computed a pixel at a time .*hand `at` to every causal layer"),
        ({"between": nn.Conv2d(6, 6, 3, padding=1), "cached": False}, "sees channel 0 of pixel"),
        ({"between": nn.Conv2d(6, 6, 1)}, "cannot be computed a pixel at a time"),
        ({"between": nn.GroupNorm(2, 6), "cached": False}, "none normalises over rows or columns"),
        ({"between": nn.BatchNorm2d(6), "cached": False}, "while it trains, so that it is no distribution"),
        ({"likelihood": TooGood(levels=4)}, "likelihood=categorical: log_prob differs from the log-softmax"),
        ({"likelihood": Silent(levels=4)}, "likelihood=categorical: log_prob gives NoneType, not a tensor"),
        (
            {"likelihood": Lost(levels=4)},
            r"likelihood=categorical: logits fails \(KeyError: 'hmm', in line \d+ of test_s",
        ),
        (
            {"between": lambda h: h.no_such_thing},
            r"cannot compute an image .*AttributeError: .*, in line \d+ of test_selfc",
        ),
        ({"end": lambda h: (h, h), "cached": False}, "model=pixelcnn: its forward gives tuple, not a tensor"),
        ({"end": lambda h: None, "cached": False}, "model=pixelcnn: its forward gives NoneType, not a tensor"),
        (
            {"end": torch.Tensor.detach, "cached": False},
            "its parameters have no gradient, so that it cannot be trained",
        ),
        ({"end": lambda h: h / 0, "cached": False}, "model=pixelcnn: gives NaN or infinite parameters"),
        (
            {"between": lambda h: h + (torch.arange(6)[:, None] == 1) * h[..., -1:, -1:], "cached": False},
            r"pixel \(1, 0\) sees channel 0 of pixel",
        ),
        ({"between": Noise(), "cached": False}, "gives an image other parameters a second time"),
        ({"between": lambda h: h + h.mean(0, keepdim=True), "cached": False}, "other parameters alone in its batch"),
        (
            {"between": Fails()},
            r"cannot compute an image while it trains \(OSError: gone, in line \d+ of test_selfcheck",
        ),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_a_mistake_ends_in_one_line_that_says_where_to_look(mistakes, message):
    with pytest.raises(UserError, match=message):
        selfcheck.check_foreign_parts(density(**mistakes), CONFIG)


def test_a_gate_that_cuts_through_the_channels_is_found_out():
    class Chunked(Net):
        def forward(self, x, at=None, y=None):
            a, b = self.conv(self.embed(x, at), at).chunk(2, dim=1)
            return self.out(torch.cat([a * torch.sigmoid(b), b], dim=1), at)

    torch.manual_seed(0)
    with pytest.raises(UserError, match=r"channel \d of pixel .* sees channel"):
        selfcheck.check_foreign_parts(Density(Chunked(3), Categorical(levels=4), (3, 8, 8)), CONFIG)


def test_parts_of_the_package_are_not_checked_again(monkeypatch):
    monkeypatch.setattr(selfcheck, "check_shape", None)
    selfcheck.check_foreign_parts(build(["model.n_res=1", "model.hidden=2"]), CONFIG)
