from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats

from helpers.builders import all_images, progress_of, tiny_density
from pixelcnn_lit.config.model import NETWORKS
from pixelcnn_lit.masks import visible_beside


@pytest.mark.parametrize(("network", "orders"), [(name, 8) for name in NETWORKS.names()] + [("pixelcnn", 2)])
def test_each_scan_and_the_mixture_sum_to_one_and_the_scans_differ(network, orders):
    density = tiny_density(2, network=network, orders=orders)
    images = all_images(2, (1, 2, 3))
    with torch.no_grad():
        each = density.order_log_probs(images).double().exp()
        torch.testing.assert_close(density.component_log_probs(images).double().exp(), each[:, None])
        torch.testing.assert_close(each.sum(0), torch.ones(orders).double(), atol=1e-5, rtol=0)
        torch.testing.assert_close(density.log_prob(images).double().exp(), each.mean(1))
        for first, second in itertools.combinations(range(orders), 2):
            assert (each[:, first] - each[:, second]).abs().max() > 1e-3
        torch.testing.assert_close(density.nats(images).flatten(1).sum(1), -density.log_prob(images))
        torch.testing.assert_close(density(images), density.nats(images))


def test_with_classes_each_is_a_distribution_too():
    density = tiny_density(2, network="gated_pixelcnn", orders=4, n_classes=3)
    images = all_images(2, (1, 2, 3))
    with torch.no_grad():
        each = torch.stack([density.log_prob(images, y) for y in range(3)]).double().exp()
        torch.testing.assert_close(each.sum(1), torch.ones(3).double(), atol=1e-5, rtol=0)
        torch.testing.assert_close(density.log_prob(images).double().exp(), each.mean(0))
        torch.testing.assert_close(density.class_log_probs(images).double().exp(), each.T)
        components = density.component_log_probs(images).double().exp()  # (N, classes, orders)
        for y, order in itertools.product(range(3), range(4)):
            own = density.log_prob(images, y, order=order).double().exp()
            torch.testing.assert_close(components[:, y, order], own)
        torch.testing.assert_close(components.mean(2), each.T)
        torch.testing.assert_close(components.mean(1), density.order_log_probs(images).double().exp())


def test_a_scan_sees_the_pixels_before_it_alone():
    """The logits of an order do not change with pixels that come later in it, and do with those before."""
    density = tiny_density(2, orders=8)
    x = torch.randint(0, 2, (1, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    for order, scan in enumerate(density.scans):
        rank = torch.empty(12, dtype=torch.long)
        rank[scan.turn(torch.arange(12).view(3, 4)).flatten()] = torch.arange(12)
        changed = x.repeat(12, 1, 1, 1)
        changed.view(12, 12)[torch.arange(12), torch.arange(12)] ^= 1
        with torch.no_grad():
            moved = (density.logits(changed, order=order) - density.logits(x, order=order)).abs().amax((1, 2))
        seen = moved.view(12, 12) > 1e-6  # [changed pixel, pixel that sees it]
        later = rank[:, None] >= rank[None]
        assert not (seen & later).any()
        assert seen.any()


@pytest.mark.parametrize(
    ("side", "size", "n_classes"),
    [("bottom", (2, 3), 2), ("top", (2, 2), None), ("left", (2, 3), None), ("right", (2, 2), 2), (None, (2, 3), None)],
)
def test_samples_and_completions_of_each_half_follow_the_exact_conditional(side, size, n_classes):
    """Of the mixture of the scans in which the known half comes first, given the known half."""
    density = tiny_density(2, orders=8, size=size, network="gated_pixelcnn", n_classes=n_classes)
    known = torch.zeros(size, dtype=torch.bool) if side is None else visible_beside(side, *size)
    images = all_images(2, (1, *size))
    start = torch.tensor([1, 0, 1, 1, 0, 1][: size[0] * size[1]], dtype=torch.uint8).view(size)
    images = images[(images[:, 0][:, known] == start[known]).all(1)]
    fit = [
        order
        for order, scan in enumerate(density.scans)
        if torch.equal(scan.turn(known).flatten().sort(descending=True, stable=True).values, scan.turn(known).flatten())
    ]
    assert len(fit) == (8 if side is None else 2)
    with torch.no_grad():
        expected = density.order_log_probs(images)[:, fit].logsumexp(1).double().softmax(0)
    n = 5_000
    drawn = density.sample(n, 4) if side is None else density.complete(start.expand(n, 1, *size), known, seed=3)
    weights = 2 ** torch.arange(known.numel())
    order = (images.flatten(1).long() * weights).sum(1)
    counts = torch.bincount((drawn.flatten(1).long() * weights).sum(1), minlength=2 ** known.numel())[order]
    assert counts.sum() == n
    assert stats.chisquare(counts.numpy(), n * expected.numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("network", "size"), [("pixelcnn", (5, 5)), ("pixelcnn_pp", (4, 6))])
def test_cached_and_naive_draws_are_equal_and_depend_on_seed_and_number_alone(network, size):
    density = tiny_density(4, size=size, network=network, orders=8)
    cached, naive = (density.sample(7, 5, method=method) for method in ("cached", "naive"))
    assert torch.equal(cached, naive)
    parts = [density.sample(n, seed=5, first=first) for first, n in ((0, 2), (2, 5))]
    assert torch.equal(cached, torch.cat(parts))
    scattered = torch.rand((7, *size), generator=torch.Generator().manual_seed(2)) < 0.5
    for known in (scattered, visible_beside("left", *size), visible_beside("top", *size)):
        cached, naive = (density.complete(cached, known, 1, method=method) for method in ("cached", "naive"))
        assert torch.equal(cached, naive)


def test_training_draws_a_scan_for_each_image():
    density = tiny_density(2, orders=4, size=(4, 4))
    x = torch.randint(0, 2, (64, 1, 4, 4))
    with torch.no_grad():
        each = -density.order_log_probs(x)
        torch.manual_seed(0)
        drawn = density.train()(x).flatten(1).sum(1)
        torch.manual_seed(0)
        order = torch.randint(4, (64,))
    torch.testing.assert_close(drawn, each.gather(1, order[:, None])[:, 0])
    assert len(order.unique()) == 4


def test_an_order_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"order must be in 0..1, got 2"):
        tiny_density(orders=2).log_prob(torch.zeros(1, 1, 3, 3, dtype=torch.uint8), order=2)


@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
@pytest.mark.parametrize("completes", [False, True])
def test_progress_hands_out_the_whole_batch_each_image_in_its_own_scan(size, completes):
    density = tiny_density(4, orders=8, size=size)
    if completes:
        known = torch.zeros(size, dtype=torch.bool)
        known[0, 0] = True
        x, told = progress_of(density.complete, torch.full((20, 1, *size), 3), known, seed=0)
    else:
        x, told = progress_of(density.sample, 20, seed=0)
    assert told[0].done == 0
    assert int(told[0].seen.sum()) == 20 * completes
    assert told[-1].done == told[-1].total
    assert told[-1].seen.all()
    for before, after in itertools.pairwise(told):
        assert before.done / before.total <= after.done / after.total
        assert not (before.seen & ~after.seen).any()
    for so_far in told:
        assert so_far.x[so_far.seen[:, None]].equal(x[so_far.seen[:, None]])
    assert len({image.numpy().tobytes() for image in told[len(told) // 4].seen}) > 1


@pytest.mark.parametrize("order", ["a", 1.5, True, torch.zeros(2, 2).long(), torch.arange(9), torch.tensor(0.0)])
@pytest.mark.parametrize("network", ["pixelcnn", "lmconv"])
def test_what_is_no_order_is_refused_with_what_is(network, order):
    with pytest.raises(ValueError, match=r"order must be (the number of a scan|ranks)"):
        tiny_density(network=network, orders=2).log_prob(torch.zeros(1, 1, 3, 3, dtype=torch.uint8), order=order)
