from __future__ import annotations

import math

import pytest
import torch

from helpers.builders import all_images, tiny_density
from pixelcnn_lit.config.model import NETWORKS


@pytest.mark.parametrize("network", NETWORKS.names())
def test_a_density_without_its_class_is_the_mean_over_the_classes(network):
    density = tiny_density(2, n_res=2, network=network, n_classes=3)
    images = all_images(2, (1, 2, 3))
    with torch.no_grad():
        each = torch.stack([density.log_prob(images, y).double().exp() for y in range(3)])
        torch.testing.assert_close(each.sum(1), torch.ones(3).double(), atol=1e-5, rtol=0)
        assert (each[0] - each[1]).abs().max() > 1e-3
        torch.testing.assert_close(density.log_prob(images).double().exp(), each.mean(0))
        torch.testing.assert_close(density.class_log_probs(images).double().exp(), each.T)
        y = torch.arange(64) % 3
        torch.testing.assert_close(density.log_prob(images, y).double().exp(), each[y, torch.arange(64)])


@pytest.mark.parametrize("channels", [1, 2])
def test_nats_without_a_class_are_those_of_the_mixture_over_all_images(channels):
    """The conditional of each dimension, by sums over all images that agree with it before and at that dimension."""
    density = tiny_density(2, channels=channels, n_classes=3)
    images = all_images(2, (channels, 2, 2))
    in_order = images.permute(0, 2, 3, 1).flatten(1)
    with torch.no_grad():
        chances = density.log_prob(images).double().exp()
        nats = density.nats(images).double().permute(0, 2, 3, 1).flatten(1)
        entropy = density.entropy(images).double().permute(0, 2, 3, 1).flatten(1)
    for number in (0, 5, len(images) - 1):
        agree = (in_order == in_order[number]).long().cumprod(1)
        until = (agree * chances[:, None]).sum(0)
        before = torch.cat([torch.ones(1).double(), until[:-1]])
        chance = until / before
        torch.testing.assert_close(nats[number], -chance.log(), atol=1e-4, rtol=1e-4)
        expected = -(chance * chance.log() + (1 - chance) * (1 - chance).log())
        torch.testing.assert_close(entropy[number], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (3, r"y must be in 0..2, got 3..3"),
        (-1, r"y must be in 0..2, got -1..-1"),
        (torch.tensor([0.5]), "y must be integer classes, got torch.float32"),
        (torch.tensor([0, 1]), r"y must be one class or 1, got shape \(2,\)"),
    ],
)
def test_what_is_no_class_is_refused(y, message):
    density = tiny_density(n_classes=3)
    x = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    for ask in (density.log_prob, density.logits, density.nats, density.entropy, lambda x, y: density.sample(1, 0, y)):
        with pytest.raises(ValueError, match=message):
            ask(x, y)


def test_a_density_without_classes_takes_none():
    with pytest.raises(ValueError, match="has no classes"):
        tiny_density().log_prob(torch.zeros(1, 1, 3, 3, dtype=torch.uint8), 1)
    with pytest.raises(ValueError, match="has no classes"):
        tiny_density().class_log_probs(torch.zeros(1, 1, 3, 3, dtype=torch.uint8))


def test_log_prob_is_the_sum_of_the_conditionals_that_logits_gives():
    density = tiny_density(4, n_res=2)
    x = torch.randint(0, 4, (5, 1, 9, 7))
    logits = density.logits(x)
    assert logits.shape == (5, 4, 1, 9, 7)
    expected = logits.log_softmax(1).gather(1, x[:, None])[:, 0].flatten(1).sum(1)
    torch.testing.assert_close(density.log_prob(x), expected)
    torch.testing.assert_close(density.bits_per_dim(x), -expected / (63 * math.log(2)))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 3, 3, dtype=torch.uint8), r"images must be \(N, 1, H, W\)"),
        (torch.zeros(1, 3, 3, 3, dtype=torch.uint8), r"images must be \(N, 1, H, W\)"),
        (torch.zeros(1, 1, 3, 3), "integer levels, got torch.float32"),
        (torch.full((1, 1, 3, 3), 2), r"levels must be in 0..1, got 2..2"),
        (torch.full((1, 1, 3, 3), -1), r"levels must be in 0..1, got -1..-1"),
    ],
)
def test_what_is_no_batch_of_level_images_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        tiny_density().log_prob(x)


def test_an_empty_batch_has_no_probabilities():
    assert tiny_density().log_prob(torch.zeros(0, 1, 3, 3, dtype=torch.uint8)).shape == (0,)


def test_seeds_and_sizes_that_mean_nothing_are_refused():
    density = tiny_density()
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        density.sample(1, seed=-1)
    with pytest.raises(ValueError, match=r"size must be at least \(1, 1\), got \(0, 5\)"):
        density.sample(1, size=(0, 5))


@pytest.mark.parametrize("order", [1, True, torch.tensor([0, 1])])
def test_the_one_order_of_a_density_is_zero(order):
    density = tiny_density()
    x = torch.zeros(2, 1, 3, 3, dtype=torch.uint8)
    assert torch.equal(density.log_prob(x, order=0), density.log_prob(x))
    with pytest.raises(ValueError, match="order must be 0: this density has one order of the pixels"):
        density.log_prob(x, order=order)
