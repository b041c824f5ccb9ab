from __future__ import annotations

import numpy as np
import pytest

from pixelcnn_lit.config import compose
from pixelcnn_lit.data.datasets import load
from pixelcnn_lit.errors import UserError


@pytest.fixture
def colour(tmp_path):
    """Ten images and their labels 0 to 4 in a .npz file."""
    x, y = np.zeros((12, 2, 3, 3), dtype=np.uint8), np.arange(12) % 5
    np.savez(tmp_path / "colour.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    np.savez(tmp_path / "plain.npz", x_train=x, x_test=x)
    return tmp_path


def test_what_is_read_is_what_the_config_says(colour):
    config = compose(["data=npz", f"data.path={colour / 'colour.npz'}", "data.image_shape=[3,2,3]", "data.n_classes=5"])
    assert load(config.data).train.images.shape == (11, 3, 2, 3)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        (
            "colour",
            "data.image_shape=[1,2,3]",
            r"data.image_shape=\[1, 2, 3\]: .*colour.npz: the images are \[3, 2, 3\]",
        ),
        (
            "colour",
            "data.n_classes=4",
            r"data.n_classes=4: .*colour.npz: its labels go up to 4, so that 5 is the least",
        ),
        ("plain", "data.n_classes=4", r"data.n_classes=4: .*plain.npz: it has no labels; only 0 fits"),
    ],
)
def test_other_images_or_labels_than_the_config_says_are_an_error(colour, name, override, message):
    config = compose(["data=npz", f"data.path={colour / name}.npz", "data.image_shape=[3,2,3]", override])
    with pytest.raises(UserError, match=message):
        load(config.data)


def test_a_file_may_hold_a_part_of_the_classes_but_a_data_set_has_just_its_own(colour, mnist_dir):
    files = ["data=npz", f"data.path={colour / 'colour.npz'}", "data.image_shape=[3,2,3]", "data.n_classes=10"]
    assert load(compose(files).data).n_classes == 5
    digits = [f"data.dir={mnist_dir}", "data.source=torchvision", "data.n_classes=11"]
    with pytest.raises(UserError, match=r"data.n_classes=11: mnist: it has 10 classes"):
        load(compose(digits).data)
