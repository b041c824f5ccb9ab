from __future__ import annotations

import numpy as np
import pytest

from pixelcnn_lit.data.mutate import mutate

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("levels", [2, 7, 256])
def test_the_share_becomes_levels_that_are_all_equally_likely(levels):
    x = np.full((200, 1, 28, 28), levels - 1, dtype=np.uint8)
    mutated = mutate(x, 0.4, levels, seed=0)
    counts = np.bincount(mutated.ravel(), minlength=levels) / mutated.size
    assert (mutated.dtype, mutated.shape, len(counts)) == (np.uint8, x.shape, levels)
    np.testing.assert_allclose(counts[:-1], 0.4 / levels, atol=0.003)
    assert counts[-1] == pytest.approx(0.6 + 0.4 / levels, abs=0.003)


def test_none_and_all():
    x = RNG.integers(0, 4, (3, 1, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(mutate(x, 0.0, 4, seed=0), x)
    np.testing.assert_array_equal(mutate(x, 1.0, 4, seed=0), mutate(3 - x, 1.0, 4, seed=0))


def test_an_image_depends_on_its_number_and_the_seed_alone():
    x = RNG.integers(0, 4, (5, 3, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(mutate(x, 0.5, 4, seed=1)[:2], mutate(x[:2], 0.5, 4, seed=1))
    assert (mutate(x, 0.5, 4, seed=1) != mutate(x, 0.5, 4, seed=2)).any()
    same = mutate(np.zeros((2, 1, 28, 28), dtype=np.uint8), 0.5, 4, seed=1)
    assert (same[0] != same[1]).any()


def test_a_larger_share_mutates_more_of_the_same():
    x = np.zeros((2, 1, 28, 28), dtype=np.uint8)
    less, more = (mutate(x, share, 256, seed=0) for share in (0.2, 0.4))
    np.testing.assert_array_equal(more[less > 0], less[less > 0])
    assert (more > 0).sum() > 1.7 * (less > 0).sum()
