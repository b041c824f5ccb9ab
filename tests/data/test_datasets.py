from __future__ import annotations

import numpy as np
import pytest

from pixelcnn_lit.config import compose
from pixelcnn_lit.config.parts import Part, Parts
from pixelcnn_lit.data.datasets import load
from pixelcnn_lit.data.splits import Split, Splits
from pixelcnn_lit.errors import UserError


@pytest.fixture
def colour(tmp_path):
    """Ten images and their labels 0 to 4 in a .npz file."""
    x, y = np.arange(216, dtype=np.uint8).reshape(12, 2, 3, 3), np.arange(12) % 5
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


def split(labels):
    return Split(np.full((len(labels), 1, 28, 28), 255, dtype=np.uint8), np.array(labels))


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (lambda config: None, "data=mnist: its function gives NoneType, not Splits"),
        (lambda config: {}["x"], r"data=mnist: KeyError: 'x', in line \d+ of test_datasets.py"),
        (lambda config: split([0, 1]) if config.levels else None, "data=mnist: its function gives Split, not Splits"),
        (lambda config: Splits(*[split([0, 3])] * 3, "here", 3), "data=here: its labels are 0 to 3; .* from 0 to 2"),
        (lambda config: Splits(*[split([0, 1])] * 3, "here", 0), "data=here: its labels are 0 to 1; .* be 0, where"),
    ],
)
def test_what_the_function_of_a_data_set_gives_is_checked(loaded, message, monkeypatch):
    config = compose(["data=mnist"]).data
    monkeypatch.setattr(Parts, "__getitem__", lambda parts, name: Part(type(config), loaded))
    with pytest.raises(UserError, match=message):
        load(config)


def test_a_file_may_hold_a_part_of_the_classes_but_a_data_set_has_just_its_own(colour, mnist_dir):
    files = ["data=npz", f"data.path={colour / 'colour.npz'}", "data.image_shape=[3,2,3]", "data.n_classes=10"]
    assert load(compose(files).data).n_classes == 5
    digits = [f"data.dir={mnist_dir}", "data.source=torchvision", "data.n_classes=11"]
    with pytest.raises(UserError, match=r"data.n_classes=11: mnist: it has 10 classes"):
        load(compose(digits).data)


@pytest.mark.parametrize(
    ("low", "high", "overrides", "message"),
    [
        (0, 1, ["data.levels=2"], "from 0 to 1: black, where white is 255; multiply images of 0 and 1 by 255"),
        (0, 1, ["data.levels=2", "data.binarize=dynamic"], "from 0 to 1: black"),
        (0, 0, [], "from 0 to 0: black"),
        (0, 3, ["data.levels=4"], "data.levels=4: .*from 0 to 3: a single level"),
        (200, 200, [], "from 200 to 200: a single level"),
    ],
)
def test_images_that_are_black_or_become_one_level_are_refused(tmp_path, low, high, overrides, message):
    """As images of 0 and 1 would, which some data sets keep in place of 0 and 255: they would cost no bit."""
    x = np.full((12, 4, 4), low, dtype=np.uint8)
    x[:, ::2] = high
    np.savez(tmp_path / "x.npz", x_train=x, x_test=x)
    config = compose(["data=npz", f"data.path={tmp_path / 'x.npz'}", "data.image_shape=[1,4,4]", *overrides])
    with pytest.raises(UserError, match=message):
        load(config.data)
