"""The file of compressed images, ``.pxl``: a header that says which model wrote it, and blocks of images.

    magic | length of the text | number of blocks | CRC-32 | text | table of blocks | block | block | ...

The text is a JSON list of what :class:`Header` says, in its order; the CRC-32 is of text and table. All is short, since
the header counts too.

A block is its corrections, then what the range coder wrote. The header has the lengths and CRC-32 of each block and of
the levels that it decodes to, so any block can be read alone, and nothing damaged is taken for images.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated

from pydantic import Field, ValidationError

from pixelcnn_lit.config.types import Section, Side
from pixelcnn_lit.errors import UserError

MAGIC = b"pxl\x1a"
PREFIX = struct.Struct("<4sHII")
ENTRY = struct.Struct("<IIIII")
"""Of a block in the table: the values of :class:`BlockHeader`."""
MAX_IMAGES = 65536
"""In a block."""
MAX_VALUES = 2**33
"""Of all images."""
MAX_LINES = 2**19
"""Images times the longer side, in a block. What it takes to decode a block grows with them: here, some gigabytes."""
Crc = Annotated[int, Field(ge=0, lt=2**32)]
Length = Annotated[int, Field(ge=0, lt=2**32)]


class BlockHeader(Section):
    """What is known of a block: how many images, bytes and corrections it has, and two checksums."""

    images: Annotated[int, Field(ge=1, le=MAX_IMAGES)]
    corrections: Length
    payload: Length
    crc: Crc
    crc_of_levels: Crc


class Header(Section):
    """What a file says of itself. ``model`` is a digest of the network's weights and sizes."""

    format: Annotated[int, Field(ge=1)]
    version: Annotated[str, Field(max_length=100)]
    network: Annotated[str, Field(max_length=1000)]
    model: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    precision: Annotated[str, Field(max_length=100)]
    levels: Annotated[int, Field(ge=2, le=256)]
    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=4)], Side, Side], Field(strict=False)]
    blocks: Annotated[list[BlockHeader], Field(min_length=1)]

    @property
    def images(self) -> int:
        """How many images all blocks have."""
        return sum(block.images for block in self.blocks)


def check_block(images: int, shape: tuple[int, int, int]) -> None:
    """Raise ValueError for more images (C, H, W) than a block may have."""
    most = min(MAX_IMAGES, max(1, MAX_LINES // max(shape[1:])))
    if images > most:
        raise ValueError(f"a block has at most {most:,} images of {shape}, not {images:,}")


def write(file: IO[bytes], header: Header, contents: Sequence[bytes]) -> int:
    """Write a whole file, and return its length."""
    *values, blocks = header.model_dump(mode="json").values()
    text = json.dumps(values, separators=(",", ":")).encode()
    table = b"".join(ENTRY.pack(*block.values()) for block in blocks)
    file.write(PREFIX.pack(MAGIC, len(text), len(blocks), zlib.crc32(text + table)))
    for content in (text, table, *contents):
        file.write(content)
    return PREFIX.size + len(text) + len(table) + sum(map(len, contents))


def read_header(path: str | Path) -> tuple[Header, int]:
    """The header of a file, and where its first block begins.

    Raises UserError if the file cannot be read, is damaged, or has another length than it says.
    """
    try:
        size = os.stat(path).st_size  # noqa: PTH116
        with open(path, "rb") as file:  # noqa: PTH123
            prefix = file.read(PREFIX.size)
            if len(prefix) < PREFIX.size or not prefix.startswith(MAGIC):
                raise UserError(f"file={path}: no file of compressed images")
            _, length, count, crc = PREFIX.unpack(prefix)
            told = length + count * ENTRY.size
            content = file.read(told) if told <= size else b""
    except (OSError, ValueError) as error:
        raise UserError(f"file={path}: cannot be read ({error})") from error
    if len(content) != told or zlib.crc32(content) != crc:
        raise UserError(f"file={path}: damaged: its header is cut off or changed")
    header, begin = _parsed(path, content[:length], content[length:]), PREFIX.size + told
    channels, height, width = header.shape
    if header.images * channels * height * width > MAX_VALUES:
        raise UserError(f"file={path}: damaged: it says that it has {header.images} images of {header.shape}")
    try:
        check_block(max(block.images for block in header.blocks), header.shape)
    except ValueError as error:
        raise UserError(f"file={path}: damaged: {error}") from error
    ends = begin + sum(block.corrections + block.payload for block in header.blocks)
    if ends != size:
        raise UserError(f"file={path}: damaged: it has {size} bytes, and its header says {ends}")
    return header, begin


def _parsed(path: str | Path, text: bytes, table: bytes) -> Header:
    """The header from its two parts. Raise UserError if it is none."""
    keys = list(Header.model_fields)
    blocks = [dict(zip(BlockHeader.model_fields, values, strict=True)) for values in ENTRY.iter_unpack(table)]
    try:
        values = json.loads(text)
        if not isinstance(values, list) or len(values) != len(keys) - 1:
            raise UserError(f"file={path}: damaged, or of a newer pixelcnn-lit: its header has other parts")
        return Header.model_validate(dict(zip(keys, [*values, blocks], strict=True)))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"file={path}: damaged, or of a newer pixelcnn-lit: its header has a wrong {where}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"file={path}: damaged: its header cannot be read") from error


def read_blocks(path: str | Path, header: Header, begin: int, first: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """The blocks that hold images ``first`` to ``stop - 1``: the number of each block and its bytes.

    Raises UserError for a damaged block.
    """
    image, place = 0, begin
    with open(path, "rb") as file:  # noqa: PTH123
        for number, block in enumerate(header.blocks):
            length = block.corrections + block.payload
            if image < stop and image + block.images > first:
                file.seek(place)
                content = file.read(length)
                if len(content) != length or zlib.crc32(content) != block.crc:
                    raise UserError(f"file={path}: damaged: block {number} has another checksum than the header says")
                yield number, content
            image, place = image + block.images, place + length
