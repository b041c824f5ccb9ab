from __future__ import annotations

import numpy as np
import pytest

from pixelcnn_lit.data.splits import Split, hold_out, in_three
from pixelcnn_lit.errors import UserError


def numbered(count: int) -> Split:
    """Images that show their own number, which is their label too."""
    numbers = np.arange(count)
    return Split(numbers.astype(np.uint8).reshape(-1, 1, 1, 1), numbers)


@pytest.mark.parametrize("train", [12, 13, 25])
def test_a_twelfth_of_the_training_images_is_held_out(train):
    splits = hold_out(numbered(train), numbered(3), 0, "somewhere", 4, "here")
    assert (len(splits.val), len(splits.test), splits.source, splits.n_classes) == (train // 12, 3, "somewhere", 4)
    assert sorted([*splits.train.labels, *splits.val.labels]) == list(range(train))
    for split in (splits.train, splits.val, splits.test):
        np.testing.assert_array_equal(split.images.flatten(), split.labels)


def test_a_tenth_each_is_held_out_where_there_are_no_test_images():
    splits = in_three(numbered(29), 0, "somewhere", 0, "here")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (25, 2, 2)
    assert sorted([*splits.train.labels, *splits.val.labels, *splits.test.labels]) == list(range(29))


@pytest.mark.parametrize("how", [in_three, lambda whole, *rest: hold_out(whole, whole, *rest)])
def test_which_images_are_held_out_is_a_function_of_the_seed(how):
    first, again, other = (how(numbered(60), seed, "", 0, "") for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.val.labels, again.val.labels)
    assert list(first.val.labels) != list(other.val.labels)


@pytest.mark.parametrize("labels", [None, np.zeros(2, dtype=np.int64), np.zeros((3, 1), dtype=np.int64), [0, 0, 0]])
def test_images_without_a_label_each_are_an_error(labels):
    with pytest.raises(ValueError, match=r"3 images need labels in an array \(3,\), not"):
        Split(np.zeros((3, 1, 2, 2), dtype=np.uint8), labels)


def test_too_few_images_are_an_error():
    with pytest.raises(UserError, match=r"^here: 11 training and 3 test images; at least 12 and 1 are needed"):
        hold_out(numbered(11), numbered(3), 0, "", 0, "here")
    with pytest.raises(UserError, match=r"^here: 12 training and 0 test images"):
        hold_out(numbered(12), numbered(0), 0, "", 0, "here")
    with pytest.raises(UserError, match=r"^here: 9 images; at least 10 are needed"):
        in_three(numbered(9), 0, "", 0, "here")
