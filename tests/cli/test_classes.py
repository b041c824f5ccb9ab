"""Classes behind the commands: their names settle which is which, whatever the folders are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import write_checkpoint
from helpers.process import fails, forked, succeeds
from pixelcnn_lit import build, load

SIZES = ["model=gated_pixelcnn", "model.n_res=1", "model.hidden=4", "model.n_classes=${data.n_classes}"]
NUMBERS = [str(number) for number in range(11)]


def folders(root, names, n=5):
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")


def untrained(path, overrides, names):
    """A checkpoint of a model whose classes differ."""
    torch.manual_seed(0)
    density = build([*SIZES, *overrides])
    with torch.no_grad():
        for name, parameter in density.named_parameters():
            if name.endswith("class_bias"):
                parameter.normal_(std=3)
    write_checkpoint(path, density, [*SIZES, *overrides], names)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("classes")
    animals = {"trained": ("cat", "dog", "eel"), "others": ("ant", "cat", "dog"), "fewer": ("dog", "eel")}
    for name, classes in animals.items():
        folders(place / name, classes)
    folders(place / "ten", NUMBERS, n=2)
    data = ["data=images", "data.size=8", "data.levels=4"]
    untrained(place / "animals.ckpt", [*data, "data.path=trained", "data.n_classes=3"], ["cat", "dog", "eel"])
    untrained(place / "ten.ckpt", [*data, "data.path=ten", "data.n_classes=11"], NUMBERS)
    untrained(place / "old.ckpt", [*data, "data.path=ten", "data.n_classes=11"], [])
    return place


def test_a_class_is_drawn_by_its_name_and_else_by_its_number(place):
    drawn = {}
    for label in ("dog", "1", "2", "0"):
        output = succeeds(forked("sample", "ckpt=animals.ckpt", f"label={label}", "n=2", cwd=place))
        drawn[label] = np.load(place / "samples.npy")
        assert ("class 1 of 0 to 2, dog" in output) == (label in ("dog", "1"))
    np.testing.assert_array_equal(drawn["dog"], drawn["1"])
    np.testing.assert_array_equal(drawn["dog"], load(place / "animals.ckpt").sample(2, 0, 1).numpy())
    assert (drawn["2"] != drawn["dog"]).any()
    fails(forked("sample", "ckpt=animals.ckpt", "label=cow", cwd=place), "must be one of cat, dog, eel, or from 0 to 2")
    fails(forked("sample", "ckpt=old.ckpt", "label=cow", cwd=place), "holds no class names; must be from 0 to 10")


def test_the_rows_of_label_each_have_names(place):
    output = succeeds(forked("sample", "ckpt=animals.ckpt", "label=each", "n=6", "out=each.png", cwd=place))
    assert "0 = cat, 1 = dog, 2 = eel" in output


def test_folders_with_other_names_are_refused_with_both_lists(place):
    refused = fails(forked("evaluate", "ckpt=animals.ckpt", "data.path=others", cwd=place), "data.path=others")
    assert "its classes are ant, cat, dog; the checkpoint's are cat, dog, eel" in refused


def test_fewer_folders_get_the_numbers_of_the_checkpoint(place):
    output = succeeds(forked("evaluate", "ckpt=animals.ckpt", "data.path=fewer", "split=train", cwd=place))
    assert "matched by their names: 1 = dog, 2 = eel" in output
    everything = succeeds(forked("evaluate", "ckpt=animals.ckpt", "data.path=trained", "split=train", cwd=place))
    assert "matched" not in everything


def test_as_other_data_they_are_scored_without_classes(place):
    output = succeeds(forked("evaluate", "ckpt=animals.ckpt", "data=images", "data.path=others", cwd=place))
    assert "neither the accuracy nor bits/dim given the class" in output
    assert "accuracy of Bayes" not in output
    assert "images (trained)" in output
    assert "images (others), 4 levels" in output


def test_an_older_checkpoint_keeps_the_order_of_folders_that_it_was_trained_with(place):
    """Without names in it, "10" is class 2, as when folders were sorted as text; the weights are the same here."""
    output = succeeds(forked("evaluate", "ckpt=old.ckpt", "split=train", cwd=place))
    assert "0 = 0, 1 = 1, 2 = 10, 3 = 2" in output
    given = [line for line in output.splitlines() if "given the class" in line]
    today = succeeds(forked("evaluate", "ckpt=ten.ckpt", "split=train", cwd=place))
    assert given[0] not in today


def test_whoever_draws_a_number_from_an_older_checkpoint_is_told_of_that_order(place):
    older = "the order of their names as text, where 10 comes before 2"
    assert older in succeeds(forked("sample", "ckpt=old.ckpt", "label=2", "n=1", cwd=place))
    assert older in succeeds(forked("sample", "ckpt=old.ckpt", "label=each", "n=11", cwd=place))
    assert older not in succeeds(forked("sample", "ckpt=old.ckpt", "n=1", cwd=place))
    assert older not in succeeds(forked("sample", "ckpt=ten.ckpt", "label=2", "n=1", cwd=place))


def test_labels_without_names_are_no_names(place):
    """An array's label 3 need not be what a model calls 3: a line says what it is taken for."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8), np.arange(24) % 5
    np.savez(place / "numbers.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    output = succeeds(forked("evaluate", "ckpt=ten.ckpt", "data=npz", "data.path=numbers.npz", cwd=place))
    assert "numbers.npz: its labels have no names; each is taken to be the checkpoint's class of that number" in output
    assert "accuracy of Bayes" in output
    folders(place / "some", ["3", "10"])
    output = succeeds(forked("evaluate", "ckpt=ten.ckpt", "data=images", "data.path=some", cwd=place))
    assert "classes are matched by their numbers: 3, 10" in output


def test_an_exported_model_keeps_the_names(place):
    succeeds(forked("export", "ckpt=animals.ckpt", "out=animals.safetensors", cwd=place))
    assert load(place / "animals.safetensors").class_names == ("cat", "dog", "eel")
