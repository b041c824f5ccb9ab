from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.masks import half_known, read_mask, unusable


@pytest.mark.parametrize(
    ("side", "hidden"),
    [
        ("bottom", [[0, 0, 0], [1, 1, 1]]),
        ("top", [[1, 1, 1], [0, 0, 0]]),
        ("left", [[1, 1, 0], [1, 1, 0]]),
        ("right", [[0, 1, 1], [0, 1, 1]]),
    ],
)
def test_half_of_the_pixels_are_hidden(side, hidden):
    assert torch.equal(~half_known(side, 2, 3), torch.tensor(hidden, dtype=torch.bool))


@pytest.mark.parametrize(("side", "late"), [("bottom", 0), ("top", 8), ("left", 4), ("right", 2)])
def test_known_pixels_after_unknown_ones_are_counted(side, late):
    size = (4, 4) if side in ("bottom", "top") else (2, 4)
    assert unusable(half_known(side, *size)) == late


def test_a_mask_image_knows_its_bright_pixels(tmp_path):
    bright = np.array([[0, 255, 127], [128, 10, 200]], dtype=np.uint8)
    Image.fromarray(bright).save(tmp_path / "mask.png")
    assert torch.equal(read_mask(tmp_path / "mask.png", 2, 3), torch.from_numpy(bright >= 128))


def test_a_mask_that_does_not_fit_or_is_no_image_is_named(tmp_path):
    Image.new("L", (5, 4)).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"mask.png: 5x4 pixels; the images are 3x2"):
        read_mask(tmp_path / "mask.png", 2, 3)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match=r"text\.png: cannot be read as an image"):
        read_mask(tmp_path / "text.png", 2, 3)
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        read_mask(tmp_path / "none.png", 2, 3)


@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA"])
def test_a_mask_is_of_a_kind_that_is_only_data(tmp_path, kind):
    """To read an EPS file, Pillow would start Ghostscript on the program that it is."""
    Image.new("RGB", (16, 16)).save(tmp_path / "mask.png", format=kind)
    with pytest.raises(UserError, match=r"cannot be read as an image \(PNG, "):
        read_mask(tmp_path / "mask.png", 16, 16)


def test_a_mask_that_would_unfold_to_gigabytes_is_refused_by_its_header(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2**16, 2**16, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(2**20)))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(UserError, match=r"bomb\.png: (65536x65536 pixels|cannot be read)"):
        read_mask(tmp_path / "bomb.png", 28, 28)
