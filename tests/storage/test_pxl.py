from __future__ import annotations

import json
import zlib

import pytest

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import pxl
from pixelcnn_lit.storage.pxl import ENTRY, PREFIX, BlockHeader, Header, read_blocks, read_header, write

CONTENTS = [b"first block", b"second", b"the third one"]


def header(**changed):
    blocks = [
        BlockHeader(images=number + 2, corrections=0, payload=len(part), crc=zlib.crc32(part), crc_of_levels=0)
        for number, part in enumerate(CONTENTS)
    ]
    usual = {"format": 1, "version": "0", "network": "pixelcnn", "model": "0" * 32, "precision": "float64", "levels": 4}
    return Header(**{**usual, "shape": (1, 28, 28), "blocks": blocks, **changed})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.pxl"
    with path.open("wb") as file:
        length = write(file, header(), CONTENTS)
    assert length == path.stat().st_size
    return path


def forge(path, blocks=None, more=(), **changed):
    """The file with another header, whose lengths and checksum are right."""
    *values, usual = (header().model_dump(mode="json") | changed).values()
    text = json.dumps([*values, *more]).encode()
    table = b"".join(ENTRY.pack(*block.values()) for block in (usual if blocks is None else blocks))
    prefix = PREFIX.pack(pxl.MAGIC, len(text), len(table) // ENTRY.size, zlib.crc32(text + table))
    path.write_bytes(prefix + text + table + b"".join(CONTENTS))


def first_block(**changed):
    return [header().blocks[0].model_dump() | changed]


@pytest.mark.parametrize(
    ("first", "stop", "numbers"),
    [(0, 9, [0, 1, 2]), (0, 2, [0]), (2, 3, [1]), (1, 3, [0, 1]), (8, 9, [2]), (4, 6, [1, 2])],
)
def test_only_the_blocks_of_some_images_are_read(path, first, stop, numbers):
    found, begin = read_header(path)
    assert found == header()
    assert list(read_blocks(path, found, begin, first, stop)) == [(number, CONTENTS[number]) for number in numbers]


def test_every_cut_is_told(path):
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"no file of compressed images|damaged"):
            read_header(path)


def test_every_changed_byte_is_told(path):
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"no file of compressed images|damaged"):
            list(read_blocks(path, *read_header(path), 0, 9))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blocks": []}, "a wrong blocks"),
        ({"levels": 1}, "a wrong levels"),
        ({"levels": 10**9}, "a wrong levels"),
        ({"shape": [1, 10**9, 28]}, "a wrong shape.1"),
        (
            {"shape": [3, 4096, 4096], "blocks": first_block(images=65536)},
            "it says that it has",
        ),
        ({"shape": [1, 4096, 4096], "blocks": first_block(images=200)}, "at most 128 images of"),
        ({"shape": [1, 1, 64], "blocks": first_block(images=8193)}, r"at most 8,192 images of \(1, 1, 64\)"),
        ({"blocks": first_block(images=10**9)}, "a wrong blocks.0.images"),
        ({"blocks": first_block(images=0)}, "a wrong blocks.0.images"),
        ({"blocks": first_block(payload=2**32 - 1)}, "and its header says 42949"),
        ({"blocks": first_block()}, "and its header says"),
        ({"model": "x"}, "a wrong model"),
        ({"more": [1]}, "its header has other parts"),
    ],
)
def test_lengths_and_sizes_that_lie_are_told_before_memory_is_taken(path, changed, message):
    forge(path, **changed)
    with pytest.raises(UserError, match=message):
        read_header(path)


def test_a_header_that_says_it_is_huge_is_not_read(path):
    path.write_bytes(PREFIX.pack(pxl.MAGIC, 2**16 - 1, 2**32 - 1, 0) + b"[]")
    with pytest.raises(UserError, match="its header is cut off"):
        read_header(path)


@pytest.mark.parametrize("text", [b"", b"[", b"{}", b"[" * 60_000, b"\xff", b"1"])
def test_a_text_that_is_no_header_is_told(path, text):
    path.write_bytes(PREFIX.pack(pxl.MAGIC, len(text), 0, zlib.crc32(text)) + text)
    with pytest.raises(UserError, match="its header"):
        read_header(path)
