from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelcnn_lit.analysis.separation import separation


def auroc(own, other):
    """The probability that another image is stranger than an own one, by all pairs."""
    return sum((b > a) + (a == b) / 2 for a in own for b in other) / (len(own) * len(other))


def passed(own, other):
    """The least share of others below a bound that 95% of the own ones do not exceed, by all bounds."""
    bounds = [bound for bound in own + other if sum(a <= bound for a in own) >= 0.95 * len(own)]
    return min(sum(b <= bound for b in other) for bound in bounds) / len(other)


VALUES = st.lists(st.integers(-4, 4), min_size=1, max_size=30)


@given(VALUES, VALUES)
def test_is_what_all_pairs_and_all_bounds_give(own, other):
    found = separation(torch.tensor(own), torch.tensor(other))
    assert found.auroc == pytest.approx(auroc(own, other), abs=1e-6)
    assert found.passed == pytest.approx(passed(own, other), abs=1e-6)


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_exactly_95_of_a_hundred_are_enough(n):
    own, other = torch.arange(n), torch.arange(n) + 0.5
    assert separation(own, other).passed == pytest.approx(0.95 - 1 / n, abs=1e-6)


def test_two_normal_distributions_have_the_area_that_theory_says():
    generator = torch.Generator().manual_seed(0)
    own, other = torch.randn(2, 20_000, generator=generator, dtype=torch.double)
    found = separation(own, other + 1.5)
    phi = lambda z: (1 + math.erf(z / math.sqrt(2))) / 2  # noqa: E731
    assert found.auroc == pytest.approx(phi(1.5 / math.sqrt(2)), abs=0.005)
    assert found.passed == pytest.approx(phi(1.6449 - 1.5), abs=0.015)


@pytest.mark.parametrize("offset", [0, -5000, 1e6])
def test_large_scores_make_no_ties(offset):
    own, other = torch.arange(100.0).double() + offset, torch.arange(100.0).double() + offset + 0.5
    assert separation(own, other).auroc == pytest.approx(0.505, abs=1e-6)


def test_equal_scores_are_chance():
    found = separation(torch.zeros(3), torch.zeros(5))
    assert (found.auroc, found.passed) == (0.5, 1.0)
