from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.builders import tiny_density
from pixelcnn_lit import build
from pixelcnn_lit.analysis.influence import blind_spot, earlier, influence
from pixelcnn_lit.density import Density
from pixelcnn_lit.likelihood import Categorical
from pixelcnn_lit.nn.inputs import Embedded


def perturbed(density, size) -> torch.Tensor:
    """By brute force: which pixels change the centre's parameters when they, and nothing else, change; (H, W) bool."""
    height, width = size
    generator = torch.Generator().manual_seed(7)
    images, others = torch.rand(2, 6, density.image_shape[0], height, width, generator=generator, dtype=torch.double)
    changed = torch.eye(height * width, dtype=torch.bool).view(-1, 1, 1, height, width)
    network = density.network.double()
    with torch.no_grad():
        before = network(images)[:, :, height // 2, width // 2]
        after = network(torch.where(changed, others, images).flatten(0, 1))[:, :, height // 2, width // 2]
    return (after.unflatten(0, (-1, 6)) != before).flatten(1).any(1).view(size)


@settings(max_examples=12)
@given(
    n_res=st.integers(0, 3),
    kernel=st.sampled_from([1, 3, 5]),
    first_kernel=st.sampled_from([3, 5]),
    channels=st.sampled_from([1, 3]),
    size=st.tuples(st.integers(1, 6), st.integers(1, 7)),
)
def test_what_is_seen_is_what_changes_the_centre(n_res, kernel, first_kernel, channels, size):
    density = tiny_density(3, channels, n_res, 6, kernel_size=kernel, first_kernel_size=first_kernel)
    seen = influence(density, size, draws=20) > 0
    assert torch.equal(seen, perturbed(density, size))


@pytest.mark.parametrize("n_res", [1, 3])
def test_pixelcnn_does_not_see_a_triangle_to_the_upper_right(n_res):
    """Each 3x3 layer goes one row up for a column to the right, so what is above that diagonal alone is seen."""
    size, reach = (17, 17), 3 + n_res
    seen = influence(tiny_density(2, n_res=n_res, hidden=8, first_kernel_size=7), size, draws=20) > 0
    expected = torch.zeros(size, dtype=torch.bool)
    for up in range(reach + 1):
        for aside in range(-reach, reach + 1):
            # the first layer reaches 3 to the right from its first row on, each block one more for a row more
            in_sight = aside < 0 if up == 0 else aside <= 3 + min(n_res, up - 1)
            expected[8 - up, 8 + aside] = in_sight
    assert torch.equal(seen, expected)
    blind = blind_spot(seen.float())
    assert blind.sum() == n_res * (n_res + 1) // 2
    assert all(blind[8 - up, 8 + aside] for aside in range(4, 4 + n_res) for up in range(1, aside - 2))


def test_a_network_that_sees_all_or_nothing_has_no_blind_spot():
    seen = torch.zeros(5, 5)
    assert not blind_spot(seen).any()
    seen[1:2] = 1
    seen[2, :2] = 1
    assert not blind_spot(seen).any()
    seen[1, 4] = 0
    assert blind_spot(seen).nonzero().tolist() == [[1, 4]]


def test_classes_are_drawn_for_a_conditional_network():
    seen = [influence(tiny_density(hidden=8, n_classes=n), (9, 9)) > 0 for n in (None, 3)]
    assert torch.equal(*seen)


@pytest.mark.parametrize(
    ("shared", "more"),
    [
        ([], ["model.orders=4"]),
        ([], ["model.orders=2", "model.n_classes=10"]),
        (["model=lmconv"], ["model.orders=2"]),
        (["data=cifar10"], ["context=grey"]),
        ([], ["context=small", "context.factor=2"]),
    ],
)
def test_scans_and_contexts_are_drawn_too(shared, more):
    tiny = [*shared, "model.n_res=1", "model.hidden=6", "data.levels=2"]
    torch.manual_seed(0)
    seen, expected = (influence(build(chosen), (10, 10), draws=20) > 0 for chosen in ([*tiny, *more], tiny))
    assert torch.equal(seen, expected)
    assert not (seen & ~earlier(seen))[5, 6:].any()


def test_of_a_prior_of_codes_the_codes_that_it_sees_are_told():
    network = tiny_density(channels=3, hidden=6).network
    codes = Density(network, Categorical(levels=16), (1, 6, 6), inputs=Embedded(levels=16, features=3))
    assert torch.equal(influence(codes, (9, 9)) > 0, influence(tiny_density(channels=3, hidden=6), (9, 9)) > 0)


def test_the_density_is_left_as_it_was():
    density = tiny_density().train()
    influence(density, (5, 5))
    assert density.training
    assert all(parameter.grad is None for parameter in density.parameters())
