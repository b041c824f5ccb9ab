from __future__ import annotations

import pytest

from pixelcnn_lit.config import compose
from pixelcnn_lit.config.data import apart


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([], ["data=digits", "data.split_seed=1"], None),
        (["data.levels=2"], ["data.levels=4"], ("levels", "2", "4")),
        (["data.levels=2"], ["data.levels=2", "data.binarize=dynamic"], ("binarize", "null", "dynamic")),
        ([], ["data.image_shape=[1,8,8]"], ("image_shape", "[1, 28, 28]", "[1, 8, 8]")),
    ],
)
def test_bits_compare_where_they_are_of_the_same(ours, theirs, expected):
    assert apart(compose(ours).data, compose(theirs).data) == expected


def test_of_any_size_the_channels_alone_have_to_be_the_same():
    small, colour = compose(["data.image_shape=[1,8,8]"]).data, compose(["data.image_shape=[3,8,8]"]).data
    assert apart(compose([]).data, small, of_any_size=True) is None
    assert apart(small, colour, of_any_size=True) == ("image_shape", "[1, 8, 8]", "[3, 8, 8]")
