from __future__ import annotations

import numpy as np
import pytest

from pixelcnn_lit.data.quantise import intensities, quantise

EVERY = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("levels", range(2, 257))
def test_equals_the_articles_quantiser(levels):
    expected = np.digitize(EVERY / 255, np.arange(levels) / levels) - 1
    np.testing.assert_array_equal(quantise(EVERY, levels), expected)


@pytest.mark.parametrize("levels", [2, 3, 4, 16, 255, 256])
def test_levels_spread_over_all_intensities(levels):
    shown = intensities(np.arange(levels), levels)
    assert shown[0] == 0
    assert shown[-1] == 255
    assert (np.diff(shown.astype(int)) > 0).all()
