from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from helpers.builders import write_idx
from pixelcnn_lit.data.idx import read_idx
from pixelcnn_lit.errors import UserError


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_reads_what_was_written(tmp_path, name):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    write_idx(tmp_path / name, images)
    np.testing.assert_array_equal(read_idx(tmp_path / name, 3), images)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged: 0 bytes, shorter than a header of 8"),
        (b"\0\0\x08", "damaged: 3 bytes, shorter than a header of 8"),
        (b"text, not digits", "no IDX file of 1 dimensions"),
        (struct.pack(">II", 0x0803, 2) + b"ab", r"magic number 2051, expected 2049"),
        (struct.pack(">II", 0x0801, 3) + b"ab", "damaged: 2 bytes of data where its header says 3"),
        (struct.pack(">II", 0x0801, 1) + b"ab", "damaged: more bytes of data where its header says 1"),
        (struct.pack(">II", 0x0801, 2**32 - 1), "damaged: 0 bytes"),
    ],
)
def test_a_file_that_is_not_as_its_header_says_is_named(tmp_path, content, message):
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_idx(path, 1)
    assert str(path) in str(caught.value)


def test_a_header_that_asks_for_too_much_is_refused(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">IIII", 0x0803, 2**31, 2**10, 2**10))
    with pytest.raises(UserError, match="at most"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    "content", [gzip.compress(struct.pack(">II", 0x0801, 2) + b"ab", mtime=0)[:-9], b"no gzip at all"]
)
def test_a_damaged_gzip_file_is_named(tmp_path, content):
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"labels\.gz: damaged \(.*\); remove it to fetch it again"):
        read_idx(path, 1)


def test_what_is_no_file_or_may_not_be_read_is_not_called_damaged(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        read_idx(tmp_path, 1)
