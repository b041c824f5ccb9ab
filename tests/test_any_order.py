from __future__ import annotations

import pytest
import torch
from scipy import stats

from helpers.builders import all_images, tiny_density
from pixelcnn_lit.masks import visible_beside
from pixelcnn_lit.sampling.scans import known_first


def lmconv(levels=2, size=(2, 3), orders=2, **more):
    return tiny_density(levels, network="lmconv", size=size, orders=orders, **more)


def random_ranks(*shape, seed=0):
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return noise.flatten(-2).argsort(-1).view(shape)


def random_known(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5


@pytest.mark.parametrize(("levels", "channels", "n_classes"), [(2, 1, None), (3, 1, 2), (2, 3, None)])
def test_it_sums_to_one_in_any_order_and_orders_differ(levels, channels, n_classes):
    size = (2, 3) if levels**6 < 100 and channels == 1 else (1, 3)
    density = lmconv(levels, size, channels=channels, n_classes=n_classes)
    images = all_images(levels, (channels, *size))
    each = []
    with torch.no_grad():
        for seed in range(4):
            each.append(density.log_prob(images, order=random_ranks(*size, seed=seed)).double())
            assert each[-1].exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert (each[0] - each[1]).abs().max() > 1e-3


def test_each_image_may_have_an_order_of_its_own():
    density, size = lmconv(size=(4, 5)), (4, 5)
    x, ranks = torch.randint(0, 2, (6, 1, *size)), random_ranks(6, *size)
    with torch.no_grad():
        together = density.log_prob(x, order=ranks)
        alone = torch.cat([density.log_prob(x[i : i + 1], order=ranks[i]) for i in range(6)])
        torch.testing.assert_close(together, alone)
        of_scan = density.log_prob(x, order=density.scans[1].ranks(*size))
        torch.testing.assert_close(of_scan, density.log_prob(x, order=1))


def test_a_pixel_sees_those_of_lower_rank_alone():
    size = (4, 5)
    density, ranks = lmconv(size=size), random_ranks(4, 5)
    x, rank = torch.randint(0, 2, (1, 1, *size)), ranks.flatten()
    changed = x.repeat(20, 1, 1, 1)
    changed.view(20, 20)[torch.arange(20), torch.arange(20)] ^= 1
    with torch.no_grad():
        moved = (density.logits(changed, order=ranks) - density.logits(x, order=ranks)).abs().amax((1, 2)).view(20, 20)
    seen = moved > 1e-6  # [changed pixel, pixel that sees it]
    assert not (seen & (rank[:, None] >= rank[None])).any()
    assert seen.any(1).sum() > 15
    assert seen[ranks.argmin(), :].any()


@pytest.mark.parametrize(("seed", "n_classes", "orders"), [(1, None, 4), (5, 2, 2), (9, None, 1)])
def test_completions_of_any_hidden_region_follow_the_exact_conditional(seed, n_classes, orders):
    """Of the mixture of the orders in which all known pixels come first, given all of them."""
    size, n = (2, 3), 5_000
    density, known = lmconv(size=size, n_classes=n_classes, orders=orders), random_known(2, 3, seed=seed)
    assert 0 < known.sum() < 6
    start = torch.tensor([1, 0, 1, 1, 0, 1], dtype=torch.uint8).view(size)
    images = all_images(2, (1, *size))
    images = images[(images[:, 0][:, known] == start[known]).all(1)]
    ranks = [known_first(scan.ranks(*size)[None], known[None])[0] for scan in density.scans]
    with torch.no_grad():
        joint = torch.stack([density.log_prob(images, order=order) for order in ranks]).logsumexp(0).double()
        exact = density.completion_log_prob(images, known).double()
    torch.testing.assert_close(exact, joint.log_softmax(0), rtol=1e-4, atol=1e-5)
    drawn = density.complete(start.expand(n, 1, *size), known, seed=3)
    weights = 2 ** torch.arange(6)
    counts = torch.bincount((drawn.flatten(1).long() * weights).sum(1), minlength=64)
    counts = counts[(images.flatten(1).long() * weights).sum(1)]
    assert counts.sum() == n
    assert stats.chisquare(counts.numpy(), n * exact.softmax(0).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("network", "orders", "n_classes"), [("pixelcnn", 1, None), ("gated_pixelcnn", 1, 2), ("pixelcnn", 4, 2)]
)
@pytest.mark.parametrize("occluded", ["bottom", "top", "random"])
def test_the_bits_of_hidden_pixels_are_those_of_what_completions_are_drawn_from(network, orders, n_classes, occluded):
    """Where later pixels are known too, the drawn distribution takes no notice of them: blind, and still one."""
    size, n = (2, 3), 5_000
    density = tiny_density(2, network=network, size=size, orders=orders, n_classes=n_classes)
    known = visible_beside(occluded, *size, seed=4)
    start = torch.tensor([1, 0, 1, 1, 0, 1], dtype=torch.uint8).view(size)
    images = all_images(2, (1, *size))
    images = images[(images[:, 0][:, known] == start[known]).all(1)]
    with torch.no_grad():
        exact = density.completion_log_prob(images, known).double().exp()
        given = density.completion_log_prob(images, known, 0).double().exp() if n_classes else exact
    assert exact.sum().item() == pytest.approx(1, abs=1e-5)
    assert given.sum().item() == pytest.approx(1, abs=1e-5)
    drawn = density.complete(start.expand(n, 1, *size), known, seed=3)
    weights = 2 ** torch.arange(6)
    counts = torch.bincount((drawn.flatten(1).long() * weights).sum(1), minlength=64)
    counts = counts[(images.flatten(1).long() * weights).sum(1)]
    assert stats.chisquare(counts.numpy(), n * (exact / exact.sum()).numpy()).pvalue > 1e-3


def test_a_known_pixel_at_the_end_conditions_the_first_one():
    """What no raster model can do: the last pixel of the raster decides what is drawn before it."""
    density, known = lmconv(size=(1, 2), orders=1), torch.tensor([[False, True]])
    images = all_images(2, (1, 1, 2))
    with torch.no_grad():
        q = density.completion_log_prob(images, known).exp().view(2, 2)  # [first pixel, last pixel]
    assert (q[:, 0] - q[:, 1]).abs().max() > 0.01


@pytest.mark.parametrize(("size", "options"), [((5, 5), {}), ((4, 6), {"channels": 3, "n_classes": 2}), ((7, 2), {})])
def test_cached_completions_of_a_mask_for_each_image_equal_naive_ones(size, options):
    density = lmconv(4, size, orders=8, first_kernel_size=5, **options)
    x = density.sample(5, 1)
    known = random_known(5, *size)
    for temperature in (1.0, 0.0):
        cached, naive = (density.complete(x, known, 2, method=m, temperature=temperature) for m in ("cached", "naive"))
        assert torch.equal(cached, naive)
    parts = [density.complete(x[part], known[part], 2, first=part.start) for part in (slice(0, 2), slice(2, 5))]
    assert torch.equal(torch.cat(parts), density.complete(x, known, 2))


def test_training_draws_scans_and_holes_and_begins_with_what_is_known():
    density = lmconv(size=(6, 6), orders=4)
    seen = []
    network = density.network.forward
    density.network.forward = lambda *args, **given: seen.append(given["order"]) or network(*args, **given)
    x = torch.randint(0, 2, (200, 1, 6, 6))
    torch.manual_seed(0)
    loss = density.train()(x)
    torch.manual_seed(0)
    assert torch.equal(density(x), loss)
    scans = torch.stack([scan.ranks(6, 6) for scan in density.scans])
    plain = (seen[0][:, None] == scans).flatten(2).all(2).any(1)
    assert 0.35 < plain.float().mean() < 0.65
    assert (seen[0].flatten(1).sort(1).values == torch.arange(36)).all()
    density.holes = 0.0
    density(x)
    assert (seen[-1][:, None] == scans).flatten(2).all(2).any(1).all()


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (torch.zeros(2, 3).long(), "each rank from 0 to 5 once"),
        (torch.arange(6.0).view(2, 3), "order must be ranks, integers"),
        (torch.arange(6).view(3, 2), "got torch.int64 of shape"),
        (2, "order must be in 0..1, got 2"),
    ],
)
def test_an_order_that_is_none_is_refused(order, said):
    with pytest.raises(ValueError, match=said):
        lmconv().log_prob(torch.zeros(1, 1, 2, 3, dtype=torch.uint8), order=order)
