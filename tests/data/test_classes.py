from __future__ import annotations

import numpy as np

from pixelcnn_lit.data.classes import legend, listed, ordered, renumbering


def test_numbers_sort_as_numbers_alone_and_inside_names():
    assert ordered(str(i) for i in (10, 2, 0, 1)) == ("0", "1", "2", "10")
    assert ordered(["class10", "class9", "b", "007", "7"]) == ("007", "7", "b", "class9", "class10")


def test_classes_get_the_numbers_that_their_names_have_in_a_model():
    np.testing.assert_array_equal(renumbering(["cat", "eel"], ["ant", "cat", "dog", "eel"]), [1, 3])
    assert renumbering(["ant", "cat"], ["cat", "dog"]) is None


def test_a_line_of_many_names_ends():
    assert legend(["cat", "dog"]) == "0 = cat, 1 = dog"
    assert legend([str(i) for i in range(11)]) == "0 to 10"
    assert listed([str(i) for i in range(100)]).endswith("18, 19 and 80 more")
