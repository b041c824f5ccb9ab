from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from pixelcnn_lit.config import compose
from pixelcnn_lit.data import npz
from pixelcnn_lit.errors import UserError

RNG = np.random.default_rng(0)
COLOUR = {
    "x_train": RNG.integers(0, 256, (24, 4, 5, 3), dtype=np.uint8),
    "y_train": np.arange(24) % 6,
    "x_test": RNG.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8),
    "y_test": np.array([0, 1, 7], dtype=np.uint8),
}


def load(path):
    return npz.load(compose(["data=npz", f"data.path={path}"]).data)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_colour_images_and_labels_are_read(tmp_path, save):
    save(tmp_path / "some.npz", **COLOUR)
    splits = load(tmp_path / "some.npz")
    assert (len(splits.train), len(splits.val), len(splits.test), splits.n_classes) == (22, 2, 3, 8)
    np.testing.assert_array_equal(splits.test.images, COLOUR["x_test"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(splits.test.labels, [0, 1, 7])
    known = {image.tobytes(): label for image, label in zip(COLOUR["x_train"], COLOUR["y_train"], strict=True)}
    for image, label in zip(splits.train.images, splits.train.labels, strict=True):
        assert known[image.transpose(1, 2, 0).tobytes()] == label
    assert splits.source == str(tmp_path / "some.npz")


def test_grey_images_without_labels_are_read(tmp_path):
    grey = {name: COLOUR[name][..., 0] for name in ("x_train", "x_test")}
    np.savez(tmp_path / "some.npz", **grey)
    splits = load(tmp_path / "some.npz")
    assert splits.n_classes == 0
    np.testing.assert_array_equal(splits.test.images, grey["x_test"][:, None])


def test_classes_have_the_names_of_the_file_or_their_numbers(tmp_path):
    names = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibex")
    np.savez(tmp_path / "named.npz", **COLOUR, class_names=np.array(names))
    np.savez(tmp_path / "plain.npz", **COLOUR)
    assert (load(tmp_path / "named.npz").names, load(tmp_path / "named.npz").n_classes) == (names, 9)
    assert load(tmp_path / "plain.npz").names == tuple("01234567")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "has no array x_test; it holds x_train, y_test, y_train"),
        ({"y_test": None}, "has labels for one split only"),
        ({"x_test": COLOUR["x_test"] / 255}, r"x_test is float64 of shape \(3, 4, 5, 3\); expected uint8"),
        ({"x_train": COLOUR["x_train"].transpose(0, 2, 3, 1)}, r"x_train is uint8 of shape \(24, 5, 3, 4\)"),
        ({"x_train": COLOUR["x_train"].reshape(24, -1)}, r"x_train is uint8 of shape \(24, 60\); expected"),
        ({"x_test": COLOUR["x_test"][:, :3]}, r"different shapes, \[3, 4, 5\] and \[3, 3, 5\]"),
        ({"y_train": COLOUR["y_train"][:5]}, r"y_train is int64 of shape \(5,\); expected integers of shape \(24,\)"),
        ({"y_train": COLOUR["y_train"] / 2}, "y_train is float64"),
        ({"y_train": COLOUR["y_train"] - 1}, "y_train goes from -1 to 4; labels go from 0"),
        ({"class_names": np.array(["a", "b"])}, "class_names has 2 names; its labels go up to 7"),
        ({"class_names": np.array(["a"] * 8)}, "class_names has a name twice, or an empty one: a, a"),
        ({"class_names": np.arange(8)}, r"class_names is int64 of shape \(8,\); expected text"),
        ({"class_names": np.array([None] * 8)}, "class_names holds Python objects, which are not read"),
        ({"y_test": np.array([None, 1, 2])}, "y_test holds Python objects, which are not read"),
        ({"x_train": COLOUR["x_train"][:7], "y_train": COLOUR["y_train"][:7]}, "7 training and 3 test images"),
    ],
)
def test_arrays_of_another_kind_are_named(tmp_path, changes, message):
    np.savez(tmp_path / "bad.npz", **{name: array for name, array in (COLOUR | changes).items() if array is not None})
    if "x_train" in changes and changes["x_train"].shape == (24, 5, 3, 4):
        message = r"different shapes, \[4, 5, 3\]"
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("x_train", "message"),
    [
        (header("(1000000000000, 4, 5, 3)"), "x_train would need 60000000000000 bytes; at most"),
        (header("(24, 4, 5, 3)") + b"short", "x_train is damaged"),
        (header("(24, 4, 5, 3)") + bytes(10**6), "x_train is damaged"),
        (header("(24, -4, 5, 3)"), "negative dimensions are not allowed"),
        (b"text", "cannot be read"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "npy format 9.0 is not read"),
        (header("(24,) * 10**9"), "cannot be read"),
        (header("(24, 4)", "[('a', '|O')]"), "x_train holds Python objects"),
    ],
)
def test_headers_are_checked_before_memory_is_asked_for(tmp_path, x_train, message):
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("x_train.npy", x_train)
        archive.writestr("x_test.npy", b"")
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "bad.npz")
    assert "\n" not in str(caught.value)


def test_what_is_no_npz_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"data.path=.*none.npz: cannot be read \(No such file"):
        load(tmp_path / "none.npz")
    content = io.BytesIO()
    np.savez(content, **COLOUR)
    for number, bad in enumerate((b"", b"text", content.getvalue()[:-30], content.getvalue()[:200])):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(bad)
        with pytest.raises(UserError, match=f"data.path=.*{number}.npz: cannot be read"):
            load(path)
    flipped = bytearray(content.getvalue())
    flipped[300] ^= 1
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(UserError, match="Bad CRC-32"):
        load(tmp_path / "flipped.npz")
