"""The noise of samples: one stream for each pair of a seed and an image."""

from __future__ import annotations

import itertools

import pytest
import torch

from helpers.builders import tiny_density
from pixelcnn_lit.sampling.noise import Streams

CPU = torch.device("cpu")


def numbers(seed: int, image: int, purpose: str = "levels", n: int = 1) -> torch.Tensor:
    out = torch.empty(n, 8)
    Streams(seed, image, n, CPU, purpose).fill(out)
    return out


def test_seeds_that_differ_only_above_the_32nd_bit_have_different_noise():
    assert not torch.equal(numbers(5, 0), numbers(5 + 2**32, 0))
    assert not torch.equal(numbers(5, 0), numbers(5 + 2**63, 0))


def test_no_two_pairs_of_seed_and_image_share_a_stream():
    ends = (0, 1, 2, 0x9E3779B9, 2**31, 2**32 - 1)
    drawn = {tuple(numbers(seed, image)[0].tolist()) for seed, image in itertools.product(ends, repeat=2)}
    assert len(drawn) == len(ends) ** 2


def test_the_classes_of_images_have_streams_of_their_own():
    assert not torch.equal(numbers(0, 0, "levels"), numbers(0, 0, "classes"))


def test_the_stream_of_an_image_does_not_depend_on_its_batch():
    assert torch.equal(numbers(7, 10, n=4)[2], numbers(7, 12)[0])


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**62])
def test_samples_of_any_seed_are_drawn_again_the_same(seed):
    density = tiny_density()
    assert torch.equal(density.sample(3, seed, size=(3, 3)), density.sample(3, seed, size=(3, 3)))
