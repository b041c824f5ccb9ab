from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from pixelcnn_lit.config import compose
from pixelcnn_lit.data import binarise as module
from pixelcnn_lit.data.binarise import binarise, splitmix64
from pixelcnn_lit.data.datasets import load
from pixelcnn_lit.data.images import ONCE, PARTS, ImageData


def test_each_pixel_is_a_bernoulli_of_its_intensity():
    values = np.arange(256, dtype=np.uint8)
    pixels = np.broadcast_to(values.reshape(1, 1, 16, 16), (4000, 1, 16, 16))
    ones = binarise(pixels, np.arange(4000), 1, 0, 0).sum(0).flatten()
    assert ones[0] == 0
    assert ones[255] == 4000
    p_values = [stats.binomtest(int(k), 4000, v / 255).pvalue for k, v in zip(ones, values, strict=True)][1:-1]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4
    assert min(p_values) > 1e-5


def test_draws_do_not_repeat_from_pixel_to_pixel_image_to_image_or_key_to_key():
    grey = np.full((50, 1, 20, 20), 127, dtype=np.uint8)
    draws = [binarise(grey, np.arange(50), *key).astype(float) - 127 / 255 for key in [(1, 0, 0), (1, 0, 1), (1, 1, 0)]]
    bound = 5 * 0.25 / np.sqrt(grey.size)
    x = draws[0]
    neighbours = [(x[:-1], x[1:]), (x[..., 1:, :], x[..., :-1, :]), (x[..., 1:], x[..., :-1])]
    for a, b in [*neighbours, (x, draws[1]), (x, draws[2])]:
        assert abs((a * b).mean()) < bound


@pytest.mark.parametrize("at_once", [1, 500, 2**18])
def test_a_draw_is_a_function_of_the_key_and_the_image_alone(monkeypatch, at_once):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 7), dtype=np.uint8)
    numbers = np.arange(40) + 7
    whole = binarise(pixels, numbers, 1, 2, 3)
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    some = np.array([31, 2, 17])
    np.testing.assert_array_equal(binarise(pixels[some], numbers[some], 1, 2, 3), whole[some])
    for other in ((1, 2, 4), (1, 3, 3), (2, 2, 3)):
        assert (binarise(pixels, numbers, *other) != whole).any()
    assert binarise(pixels[:0], numbers[:0], 1).shape == (0, 3, 5, 7)


def test_the_bits_are_those_of_splitmix64():
    """The first outputs for seed 1234567 in the reference implementation, prng.di.unimi.it/splitmix64.c."""
    states = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(states).tolist() == expected


def test_the_first_binarisation_is_that_of_every_score_and_each_other_one_is_its_own():
    config = compose(["data=digits", "data.levels=2", "data.binarize=dynamic", "data.split_seed=4294967295"]).data
    usual, same, other = (ImageData(config, 0, **chosen) for chosen in ({}, {"binarisation": 0}, {"binarisation": 1}))
    intensities = load(config).test.images
    first = binarise(intensities, np.arange(len(intensities)), ONCE, config.split_seed, PARTS.index("test"))
    for data in (usual, same):
        np.testing.assert_array_equal(data.split("test").images, first)
    assert 0.01 < (other.split("test").images != torch.from_numpy(first)).float().mean() < 0.2
    of_training = [next(iter(data.loader("train", shuffle=True)))[0] for data in (usual, other)]
    assert torch.equal(*of_training)
