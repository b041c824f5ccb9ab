from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.masks import read_mask, visible_beside
from pixelcnn_lit.sampling.scans import SCANS, unusable


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
    assert torch.equal(~visible_beside(side, 2, 3), torch.tensor(hidden, dtype=torch.bool))


@pytest.mark.parametrize(("side", "late"), [("bottom", 0), ("top", 8), ("left", 4), ("right", 2)])
def test_known_pixels_after_unknown_ones_are_counted(side, late):
    size = (4, 4) if side in ("bottom", "top") else (2, 4)
    assert unusable(visible_beside(side, *size)) == late


def test_a_mask_image_knows_its_bright_pixels(tmp_path):
    bright = np.array([[0, 255, 127], [128, 10, 200]], dtype=np.uint8)
    Image.fromarray(bright).save(tmp_path / "mask.png")
    assert torch.equal(read_mask(tmp_path / "mask.png", 2, 3), torch.from_numpy(bright >= 128))


TOP = np.zeros((4, 3), dtype=np.uint8)
TOP[:2] = 1


def palette():
    image = Image.fromarray(TOP, "P")
    image.putpalette([0, 0, 0, 255, 255, 0])
    return image


NOISE = np.random.default_rng(0).integers(0, 9, TOP.shape, dtype=np.uint8)
TOP_HALVES = {
    "of 0 and 1": Image.fromarray(TOP),
    "of one bit": Image.fromarray(TOP * 255).convert("1"),
    "in 16 bits": Image.fromarray(np.where(TOP, 65535, 300).astype(np.uint16)),
    "of 0 and 1 in 16 bits": Image.fromarray(TOP.astype(np.uint16)),
    "of 0 and 255 in 16 bits": Image.fromarray((TOP * 255).astype(np.uint16)),
    "grey with noise": Image.fromarray(np.where(TOP, 250 - NOISE, NOISE)),
    "in the alpha channel": Image.fromarray(np.dstack([np.full_like(TOP, 255)] * 3 + [TOP * 255])),
    "in the alpha channel of grey": Image.fromarray(np.dstack([np.full_like(TOP, 255), TOP * 255]), "LA"),
    "white on nothing": Image.fromarray(np.dstack([TOP * 255] * 4)),
    "in colours of an opaque image": Image.fromarray(np.dstack([TOP * 255] * 3 + [np.full_like(TOP, 255)])),
    "of a palette": palette(),
}


@pytest.mark.parametrize("kind", TOP_HALVES)
def test_a_mask_is_read_however_it_was_saved(tmp_path, kind):
    TOP_HALVES[kind].save(tmp_path / "mask.png")
    assert torch.equal(read_mask(tmp_path / "mask.png", 4, 3), torch.from_numpy(TOP == 1))


def test_the_grey_noise_of_a_photograph_is_no_mask_of_0_and_1(tmp_path):
    Image.fromarray(np.where(TOP, 255, 3).astype(np.uint8).repeat(8, 0).repeat(8, 1)).save(tmp_path / "mask.jpg")
    known = torch.from_numpy(TOP == 1).repeat_interleave(8, 0).repeat_interleave(8, 1)
    assert torch.equal(read_mask(tmp_path / "mask.jpg", 32, 24), known)
    Image.new("L", (24, 32), 1).save(tmp_path / "mask.jpg")
    with pytest.raises(UserError, match="no pixel is known"):
        read_mask(tmp_path / "mask.jpg", 32, 24)


def test_a_mask_that_says_nothing_or_two_things_is_refused(tmp_path):
    def refused(image, message):
        image.save(tmp_path / "mask.png")
        with pytest.raises(UserError, match=rf"mask.png: {message}"):
            read_mask(tmp_path / "mask.png", 4, 3)

    refused(Image.new("L", (3, 4), 0), "no pixel is known")
    refused(Image.new("L", (3, 4), 100), "no pixel is known")
    refused(Image.new("RGBA", (3, 4), (255, 255, 255, 0)), "no pixel is known")
    refused(Image.new("L", (3, 4), 255), "all pixels are known")
    colours = np.dstack([TOP * 255] * 3 + [np.full_like(TOP, 255)])
    colours[0, :, 3] = 0
    refused(Image.fromarray(colours), "has dark pixels and transparent ones")


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


@pytest.mark.parametrize("side", ["bottom", "top", "left", "right"])
@pytest.mark.parametrize("size", [(4, 4), (5, 3)], ids=str)
def test_with_four_scans_all_pixels_of_any_half_are_used(side, size):
    known = visible_beside(side, *size)
    assert unusable(known, SCANS[:4]) == 0
    assert (unusable(known, SCANS[:2]) == 0) == (side in ("bottom", "top"))
