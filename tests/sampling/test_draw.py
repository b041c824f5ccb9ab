from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from helpers.builders import all_images, progress_of, tiny_density
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.likelihood import Categorical
from pixelcnn_lit.sampling import draw
from pixelcnn_lit.sampling.ties import TIE, TieBreaker, error_gain

kinds = st.one_of(
    st.fixed_dictionaries(
        {
            "network": st.just("pixelcnn"),
            "kernel_size": st.sampled_from([1, 3, 5]),
            "first_kernel_size": st.sampled_from([3, 5, 7]),
        }
    ),
    st.fixed_dictionaries(
        {
            "network": st.just("gated_pixelcnn"),
            "hidden": st.sampled_from([3, 4, 5, 6]),
            "kernel_size": st.sampled_from([1, 3, 5]),
            "first_kernel_size": st.sampled_from([3, 5]),
            "dilations": st.lists(st.integers(1, 3), min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {
            "network": st.just("pixelcnn_pp"),
            "resolutions": st.integers(1, 3),
            "n_res": st.integers(0, 1),
            "n_mix": st.sampled_from([1, 3]),
        }
    ),
)
shared = st.fixed_dictionaries(
    {
        "levels": st.sampled_from([2, 4, 16, 256]),
        "channels": st.sampled_from([1, 3]),
        "n_res": st.integers(0, 3),
        "hidden": st.integers(1, 6),
        "n_mix": st.sampled_from([None, None, 1, 3]),
        "n_classes": st.sampled_from([None, None, 1, 4]),
        "seed": st.integers(0, 100),
    }
)
networks = st.builds(lambda a, b: a | b, shared, kinds)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(networks, sizes, st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(0, 2**32 - 1))
def test_cached_samples_equal_naive_samples(network, size, n, temperature, seed):
    density = tiny_density(**network)
    cached, naive = (
        density.sample(n, seed, size=size, temperature=temperature, method=method) for method in ("cached", "naive")
    )
    assert torch.equal(cached, naive)


@given(networks, sizes, st.integers(1, 4), st.sampled_from(["none", "all", "top", "random", "each"]), st.data())
def test_cached_completions_equal_naive_ones_and_keep_what_is_known(network, size, n, mask, data):
    density = tiny_density(**network)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    height, width = size
    x = torch.randint(0, density.levels, (n, network["channels"], *size), generator=generator, dtype=torch.uint8)
    known = torch.rand((n, *size) if mask == "each" else size, generator=generator) < 0.5
    if mask in ("none", "all"):
        known[:] = mask == "all"
    if mask == "top":
        known[: height // 2] = True
        known[height // 2 :] = False
    before = x.clone()
    cached, naive = (density.complete(x, known, 3, method=method) for method in ("cached", "naive"))
    assert torch.equal(cached, naive)
    assert torch.equal(x, before)
    kept = known.expand(n, height, width)[:, None].expand_as(x)
    assert torch.equal(cached[kept], x[kept])


def test_samples_follow_the_exact_probabilities():
    density = tiny_density(2, n_res=1, size=(2, 3))
    images = all_images(2, (1, 2, 3))
    with torch.no_grad():
        expected = density.log_prob(images).double().exp()
    n = 20_000
    samples = density.sample(n, seed=1)
    code = (samples.flatten(1).long() * 2 ** torch.arange(5, -1, -1)).sum(1)
    counts = torch.bincount(code, minlength=64).numpy()
    assert stats.chisquare(counts, n * (expected / expected.sum()).numpy()).pvalue > 1e-3


def test_completions_follow_the_exact_conditional():
    density = tiny_density(2, n_res=1, size=(2, 3))
    known = torch.tensor([[True, True, False], [False, True, False]])
    x = torch.tensor([[1, 0, 0], [0, 1, 0]], dtype=torch.uint8).expand(20_000, 1, 2, 3)
    # Unknown pixels are drawn in order, each given what stands before it: (0, 2), then (1, 0), then (1, 2).
    images = all_images(2, (1, 2, 3))
    images = images[(images[:, 0][:, known] == x[0, 0][known]).all(1)]
    with torch.no_grad():
        conditionals = density.logits(images).log_softmax(1).gather(1, images.long()[:, None])[:, 0, 0]
    expected = conditionals[:, ~known].sum(1).double().exp()
    assert expected.sum().item() == pytest.approx(1, abs=1e-5)
    drawn = density.complete(x, known, seed=2)[:, 0][:, ~known].long()
    code = (drawn * torch.tensor([4, 2, 1])).sum(1)
    order = (images[:, 0][:, ~known].long() * torch.tensor([4, 2, 1])).sum(1)
    counts = torch.bincount(code, minlength=8)[order].numpy()
    assert stats.chisquare(counts, len(x) * (expected / expected.sum()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("n_known", [0, 2])
def test_without_a_class_images_follow_the_mixture_over_the_classes(n_known):
    """Completions too: the class is drawn from what the known pixels say of it."""
    density = tiny_density(2, n_res=1, size=(2, 2), network="gated_pixelcnn", n_classes=3)
    known = (torch.arange(4) < n_known).view(2, 2)
    x = torch.tensor([[1, 0], [0, 0]], dtype=torch.uint8).expand(20_000, 1, 2, 2)
    images = all_images(2, (1, 2, 2))
    images = images[(images[:, 0][:, known] == x[0, 0][known]).all(1)]
    with torch.no_grad():
        expected = density.log_prob(images).double().softmax(0)
    drawn = density.complete(x, known, seed=3)
    weights = torch.tensor([8, 4, 2, 1])
    order = (images.flatten(1).long() * weights).sum(1)
    counts = torch.bincount((drawn.flatten(1).long() * weights).sum(1), minlength=16)[order].numpy()
    assert stats.chisquare(counts, len(x) * expected.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("method", ["cached", "naive"])
@pytest.mark.parametrize("n_classes", [None, 3])
def test_an_image_depends_on_its_seed_and_number_alone(method, n_classes):
    density = tiny_density(4, size=(4, 5), n_classes=n_classes)
    whole = density.sample(7, seed=5, method=method)
    parts = [density.sample(n, seed=5, first=first, method=method) for first, n in ((0, 1), (1, 4), (5, 2))]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, density.sample(7, seed=6, method=method))
    assert len({tuple(image.flatten().tolist()) for image in whole}) > 1


def test_temperature_zero_is_the_mode_of_each_conditional():
    density = tiny_density(4, size=(3, 4))
    x = density.sample(2, seed=0, temperature=0)
    assert torch.equal(x[0], x[1])
    assert torch.equal(density.logits(x).argmax(1).to(torch.uint8), x)


def test_without_a_seed_the_global_generator_decides():
    density = tiny_density(4)
    torch.manual_seed(3)
    first = density.sample(4)
    second = density.sample(4)
    torch.manual_seed(3)
    assert torch.equal(first, density.sample(4))
    assert not torch.equal(first, second)


def test_a_model_that_is_certain_of_an_image_draws_it():
    torch.manual_seed(0)
    target = torch.randint(0, 4, (1, 1, 5, 5))
    density = tiny_density(4, n_res=2, hidden=16, size=(5, 5))
    optimizer = torch.optim.Adam(density.parameters(), lr=5e-3)
    for _ in range(400):
        optimizer.zero_grad()
        density(target).mean().backward()
        optimizer.step()
    assert density.log_prob(target).item() > -0.02
    assert torch.equal(density.sample(3, seed=0), target.to(torch.uint8).expand(3, 1, 5, 5))


def test_ties_are_settled_alike_by_both_methods(monkeypatch):
    """With a constant image of logits every position is a tie, and float32 alone would decide by rounding."""
    density = tiny_density(4, size=(3, 3))
    with torch.no_grad():
        density.network.out.weight.mul_(1e-9)
        density.network.out.bias.zero_()
    verdicts = []
    levels = TieBreaker.levels
    monkeypatch.setattr(
        TieBreaker, "levels", lambda self, images, *rest: verdicts.extend(images) or levels(self, images, *rest)
    )
    samples = [density.sample(2, seed=0, temperature=0, method=method) for method in ("cached", "naive")]
    assert torch.equal(*samples)
    assert len(verdicts) == 2 * 2 * 9


@given(networks)
def test_float32_errors_stay_well_under_the_margin_of_a_tie(network):
    density = tiny_density(**network)
    x = density.sample(2, seed=0, size=(6, 6))
    y = None if density.n_classes is None else 0
    with torch.no_grad():
        single = density.logits(x, y)
        double = copy.deepcopy(density).double().logits(x, y)
        params = density.params(x, y if y is None else torch.zeros(2))
        gains = [error_gain(density.likelihood, params, x, channel) for channel in range(x.shape[1])]
    # Of levels that can be drawn: one with less than e^-20 of the best is in no tie but by noise of 20 and more.
    likely = double > double.amax(1, keepdim=True) - 20
    margin = 1 + double.abs().amax(1, keepdim=True) + (0 if gains[0] is None else torch.stack(gains, dim=1)[:, None])
    error = (single - double).abs() / margin
    assert error[likely].max() < TIE / 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"network": "gated_pixelcnn", "dilations": [1, 2]},
        {"n_mix": 2, "n_classes": 3},
        {"network": "pixelcnn_pp", "n_mix": 2, "resolutions": 2},
    ],
    ids=["pixelcnn", "gated_pixelcnn", "mixture", "pixelcnn_pp"],
)
def test_a_row_does_the_same_operations_on_the_same_memory_as_the_first(monkeypatch, options):
    """What a CUDA graph asks for, with a recorder that calls again what drew the first row."""

    class Again:
        def record(self, work):
            self.play = work
            work()

        def start_section(self, kind):
            pass

    density = tiny_density(4, channels=3, n_res=2, hidden=6, size=(6, 5), **options)
    expected = density.sample(3, seed=0, method="naive")
    monkeypatch.setattr(draw, "Recording", Again)
    assert torch.equal(density.sample(3, seed=0), expected)


def test_a_network_without_a_cached_path_is_sampled_naively():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([[0.3], [-0.4]]))

        def forward(self, x):
            left = torch.zeros_like(x)
            left[..., 1:] = x[..., :-1]
            return left * self.weight[None, :, :, None]

    density = Density(Shifted(), Categorical(levels=2), (1, 2, 4))
    assert torch.equal(density.sample(5, seed=0), density.sample(5, seed=0, method="naive"))


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_progress_tells_of_each_row_and_hands_out_the_images_so_far(method):
    density = tiny_density(4, size=(5, 3))
    x, told = progress_of(density.sample, 3, seed=0, method=method)
    assert [(so_far.done, so_far.total) for so_far in told] == [(row, 5) for row in range(6)]
    for row, so_far in enumerate(told):
        assert so_far.seen.equal((torch.arange(5) < row)[None, :, None].expand(3, 5, 3))
        assert so_far.x[:, :, :row].equal(x[:, :, :row])


def test_progress_of_a_completion_counts_the_rows_that_are_drawn():
    density, known = tiny_density(size=(5, 3)), torch.zeros(5, 3, dtype=torch.bool)
    known[:2] = known[4:] = True
    known[3, 0] = True
    original = torch.ones(2, 1, 5, 3, dtype=torch.uint8)
    x, told = progress_of(density.complete, original, known, seed=0)
    assert [(so_far.done, so_far.total) for so_far in told] == [(0, 2), (1, 2), (2, 2)]
    assert [int((~so_far.seen).sum()) for so_far in told] == [10, 4, 0]
    for so_far in told:
        seen = so_far.seen[:, None]
        assert so_far.x[seen].equal(x[seen])
    assert progress_of(density.complete, original, known | True, seed=0)[1] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n must be an integer of at least 0, got -1"),
        ({"n": 1, "temperature": -1.0}, "temperature must be at least 0"),
        ({"n": 1, "temperature": float("nan")}, "temperature must be at least 0"),
        ({"n": 1, "method": "fast"}, "method must be 'cached' or 'naive'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_density().sample(**arguments)


@pytest.mark.parametrize(
    "known", [torch.ones(3, 3), torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 3, 3, dtype=torch.bool)]
)
def test_masks_of_another_kind_are_refused(known):
    with pytest.raises(ValueError, match="known must be bool of shape"):
        tiny_density().complete(torch.zeros(1, 1, 3, 3, dtype=torch.uint8), known)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_weights_gone_wrong_draw_nothing(method):
    density = tiny_density(4)
    next(density.parameters()).data.fill_(torch.inf)
    with pytest.raises(UserError, match="row 0: the model's logits are NaN or infinite"):
        density.sample(2, seed=0, method=method)
