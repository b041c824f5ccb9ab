"""Reads and writes model files: torch archives with a checksum, and safetensors. Reading a file executes no code of it.

``torch.save`` writes a zip archive of a pickle and of raw numbers. ``torch.load(weights_only=True)`` builds only
tensors and plain containers. Before that, :func:`read_archive` checks the checksum. It also refuses compressed
archives, which could expand to any size, and pickles that name anything that our own pickles do not name.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pixelcnn_lit.storage.files import write_whole

# A zip archive ends with a comment: two bytes for its length, then the text. torch.save leaves it empty. We write the
# checksum there, of everything before these two bytes; torch.load can still read the file.
MARK = b"pixelcnn_lit sha256 "
COMMENT = len(MARK) + hashlib.sha256().digest_size * 2

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Byte", "Bool")
NAMES = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", *(f"torch {kind}Storage" for kind in STORAGES)}
"""All names in our pickles."""
NAMING = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
"""The pickle instructions that look up a class or a function."""

METADATA = "pixelcnn_lit"


class DamagedError(Exception):
    """A file is damaged, or not from this package. The message says why."""


def write_archive(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` like ``torch.save``, atomically and with a checksum. Raise UserError if this fails."""
    archive = io.BytesIO()
    torch.save(dict(content), archive)
    with archive.getbuffer() as data, write_whole(path) as file:
        body = data[:-2]
        file.write(body)
        file.write(struct.pack("<H", COMMENT))
        file.write(MARK + hashlib.sha256(body).hexdigest().encode())


def read_archive(path: Path) -> tuple[Any, bool]:
    """The content of an archive, on the CPU, and whether it has a checksum.

    Raises DamagedError if the checksum is wrong, or the file is not such an archive.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about files that it then refuses
            sound = _checksum(file)
            if sound is False:
                raise DamagedError("its content is not what its checksum says")
            _inspect(file)
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True), bool(sound)
    except DamagedError:
        raise
    except Exception as error:  # zipfile, pickletools and torch refuse files with a dozen kinds of errors
        raise DamagedError(f"{type(error).__name__}: {error}") from error


def is_whole(path: Path) -> bool:
    """Whether a file has a checksum, as :func:`write_archive` writes it, and the checksum is correct."""
    try:
        with path.open("rb") as file:
            return bool(_checksum(file))
    except OSError:
        return False


def _checksum(file: IO[bytes]) -> bool | None:
    """Whether the checksum in an open file is correct; None if there is no checksum."""
    body = file.seek(0, os.SEEK_END) - COMMENT - 2
    if body < 0:
        return None
    file.seek(body)
    length, comment = file.read(2), file.read()
    if not comment.startswith(MARK):
        return None
    digest = hashlib.sha256()
    file.seek(0)
    while body > 0 and (block := file.read(min(body, 1 << 20))):
        digest.update(block)
        body -= len(block)
    return length == struct.pack("<H", COMMENT) and comment[len(MARK) :] == digest.hexdigest().encode()


def _inspect(file: IO[bytes]) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise DamagedError("it is compressed")
        pickles = [member for member in members if member.filename.endswith(".pkl")]
        if len(pickles) != 1:
            raise DamagedError(f"it holds {len(pickles)} pickles")
        for code, argument, _ in pickletools.genops(archive.read(pickles[0])):
            if code.name in NAMING and argument not in NAMES:
                raise DamagedError(f"it names {argument or 'something'}, which is not read")


def write_safetensors(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write weights and JSON metadata, atomically and with a checksum. Raise UserError if this fails."""
    weights = {name: weight.contiguous() for name, weight in weights.items()}
    text = json.dumps(metadata, separators=(",", ":"))
    texts = {METADATA: text, "sha256": _digest(weights, text)}
    with write_whole(path) as file:
        file.write(save(weights, texts))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """The weights and the JSON metadata, None if there is none. Raise DamagedError if the file is damaged."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            texts = file.metadata() or {}
            names = file.keys()
            weights = {name: file.get_tensor(name) for name in names}
        metadata = json.loads(texts[METADATA]) if METADATA in texts else None
    except Exception as error:  # safetensors does not export its class of errors
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    if metadata is not None and texts.get("sha256") != _digest(weights, texts[METADATA]):
        raise DamagedError("its content is not what its checksum says")
    return weights, metadata


def _digest(weights: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
