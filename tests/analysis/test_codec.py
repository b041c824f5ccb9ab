from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.builders import tiny_density
from pixelcnn_lit import compose, load
from pixelcnn_lit.analysis import codec
from pixelcnn_lit.analysis.codec import CORRECTION, FLOOR, ONE, STEP, Block, WrongDataError, decode, encode, in_double
from pixelcnn_lit.config.model import NETWORKS
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.density import Density
from pixelcnn_lit.likelihood import Categorical

KINDS = [(name, mix) for name in NETWORKS.names() for mix in (None, 2)]


def some(levels, channels, n, size=(6, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, levels, (n, channels, *size), generator=generator, dtype=torch.uint8)


def encoded(density, x, batch_size):
    """The block alone, where the likelihood is no matter."""
    return encode(density, x, batch_size)[0]


@pytest.mark.parametrize(("network", "n_mix"), KINDS)
@pytest.mark.parametrize(("levels", "channels", "n_classes"), [(2, 1, None), (256, 1, 3), (5, 3, None), (4, 3, 2)])
def test_images_come_back_bit_for_bit_in_any_batches(network, n_mix, levels, channels, n_classes):
    if network == "pixelcnn_pp" and channels > 1:
        n_mix = 2  # it leaves the channels of a pixel to the likelihood
    density = in_double(tiny_density(levels, channels, network=network, n_mix=n_mix, n_classes=n_classes, size=(6, 5)))
    x = some(levels, channels, 7)
    block = encoded(density, x, batch_size=3)
    for batch_size in (7, 1, 2):
        assert torch.equal(decode(density, block, tuple(x.shape), batch_size), x)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 9), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99)
)
def test_images_of_any_form_come_back(levels, channels, height, width, n, seed):
    density = in_double(tiny_density(levels, channels, seed=seed, size=(height, width)))
    x = some(levels, channels, n, (height, width), seed)
    assert torch.equal(decode(density, encoded(density, x, 2), tuple(x.shape), n), x)


def test_other_numbers_of_threads_change_nothing():
    density = in_double(tiny_density(256, hidden=32, n_res=1, size=(4, 4)))
    x = some(256, 1, 16, (4, 4))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        block = encoded(density, x, 16)
        torch.set_num_threads(2)
        assert torch.equal(decode(density, block, tuple(x.shape), 5), x)
        assert encoded(density, x, 4).payload == block.payload
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("levels", "n_mix"), [(2, None), (256, None), (256, 3)])
def test_the_length_is_what_the_likelihood_says(levels, n_mix):
    density = in_double(tiny_density(levels, n_mix=n_mix, size=(12, 12)))
    x = density.sample(64, seed=0, size=(12, 12))
    block, log_prob = encode(density, x, 64)
    with torch.no_grad():
        torch.testing.assert_close(log_prob, density.log_prob(x))
        bits = float(density.bits_per_dim(x).mean())
    overhead = 64 / x.numel()  # the last words of the range coder
    found = 8 * (len(block.payload) + block.corrections.nbytes) / x.numel()
    assert bits - 0.001 < found < bits + max(0.002, 0.003 * bits) + overhead


def test_real_digits_take_the_bits_of_a_trained_model_and_come_back():
    density = in_double(load("pretrained:digits"))
    config = compose(["data=digits", f"data.levels={density.levels}"])
    x = ImageData(config.data, config.seed).split("test").images[:32]
    block, log_prob = encode(density, x, 32)
    bits, found = -log_prob.sum().item() / math.log(2), 8 * (len(block.payload) + block.corrections.nbytes)
    assert found < bits + max(0.003 * bits, 0.002 * x.numel()) + 64
    assert torch.equal(decode(density, block, tuple(x.shape), 32), x)


def test_weights_are_the_exponentials_and_their_sums_exact():
    expected = [math.exp(-k / STEP) * ONE for k in range(FLOOR + 1)]
    np.testing.assert_allclose(codec.weights(), expected, rtol=1e-3)
    assert (codec.weights() == codec.weights().round()).all()
    assert codec.weights()[0] * 65536 < 2**53


def test_a_value_at_a_border_is_written_down_and_decoded_as_it_was(monkeypatch):
    """Where another machine computes a little else, within the drift, the same levels are decoded."""
    density = in_double(tiny_density(4, size=(6, 5)))
    x = some(4, 1, 3)
    monkeypatch.setattr(codec, "DRIFT", 1e-3)
    block = encoded(density, x, 3)
    assert 0 < len(block.corrections) < x.numel() * 4
    honest = codec.multiples
    changed = 0

    def elsewhere(logits):
        nonlocal changed
        found, near = honest(logits + 2e-4 * torch.randn(logits.shape, dtype=torch.double))
        changed += int((found != honest(logits)[0]).sum())
        return found, near

    monkeypatch.setattr(codec, "multiples", elsewhere)
    assert torch.equal(decode(density, block, tuple(x.shape), 3), x)
    assert changed > 0


def test_batches_differ_by_far_less_than_the_drift():
    density = in_double(tiny_density(256, hidden=32, n_res=3, size=(12, 12)))
    x = some(256, 1, 32, (12, 12))
    with torch.no_grad():
        whole = density.logits(x).log_softmax(1)
        apart = torch.cat([density.logits(one).log_softmax(1) for one in x.split(3)])
    assert (whole - apart).abs().max() < codec.DRIFT / 100


@pytest.mark.parametrize("network", NETWORKS.names())
def test_a_pixel_at_a_time_differs_from_a_whole_image_by_far_less_than_the_drift(network):
    n_mix = 2 if network == "pixelcnn_pp" else None
    density = in_double(tiny_density(256, 1, network=network, n_mix=n_mix, size=(6, 5)))
    x = some(256, 1, 9)
    whole = density.logits(x).log_softmax(1)[:, :, 0].flatten(2)
    with torch.inference_mode():
        drawn = torch.zeros_like(x)
        for place, logits, write in codec._walk(density, drawn, None, 4):
            assert (logits.log_softmax(1) - whole[:, :, place]).abs().max() < codec.DRIFT / 100
            write(x.flatten(1)[:, place])


class FromOutside(nn.Module):
    """A stranger's network, which knows nothing of cursors: a pixel sees the sum of those before it."""

    def __init__(self, dtype):
        super().__init__()
        self.out, self.dtype = nn.Conv2d(1, 4, 1), dtype

    def forward(self, x):
        before = F.pad(x.flatten(1).to(self.dtype).cumsum(1), (1, 0))[:, :-1]
        return self.out((before.sin() / 3).to(x.dtype).view_as(x))


def test_a_network_from_outside_without_caches_is_coded_too():
    density = in_double(Density(FromOutside(torch.double), Categorical(levels=4), (1, 6, 5)))
    x = some(4, 1, 5)
    assert codec.found_drift(density, x) < codec.DRIFT / 100
    for batch_size in (5, 2):
        assert torch.equal(decode(density, encoded(density, x, 3), tuple(x.shape), batch_size), x)


def test_a_network_that_computes_in_less_than_float64_is_found_out(monkeypatch):
    class Rounds(FromOutside):
        """Its float32 sums depend on how many images it gets."""

        def forward(self, x):
            return super().forward(x) + (1e-7 if len(x) == 1 else 0) * torch.arange(4.0)[:, None, None]

    density = in_double(Density(Rounds(torch.float32), Categorical(levels=4), (1, 6, 5)))
    assert 1e-8 < codec.found_drift(density, some(4, 1, 5)) < 1e-6
    with torch.no_grad():
        density.network.out.weight.fill_(math.nan)
    assert codec.found_drift(density, some(4, 1, 5)) == math.inf


@pytest.mark.parametrize("field", ["place", "image", "level", "multiple"])
def test_a_correction_outside_of_the_block_is_refused(field):
    density = in_double(tiny_density(4, size=(6, 5)))
    corrections = np.zeros(1, CORRECTION)
    corrections[field] = 60_000
    with pytest.raises(WrongDataError, match="outside of the block"):
        decode(density, Block(b"", corrections), (1, 1, 6, 5), 1)


def test_bytes_of_something_else_decode_to_some_levels_or_are_refused():
    density = in_double(tiny_density(4, size=(6, 5)))
    for content in (b"", b"\xff" * 40, bytes(range(200))):
        try:
            x = decode(density, Block(content, np.zeros(0, CORRECTION)), (2, 1, 6, 5), 2)
        except WrongDataError:
            continue
        assert x.max() < 4
