"""The files that a command writes: there is a place for each, and none is a file that the command reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pixelcnn_lit.config import DataConfig, Section
from pixelcnn_lit.config.types import named
from pixelcnn_lit.data.folder import SUFFIXES
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.files import check_place

WRITTEN = ("out", "picture")
"""The keys of files that commands write."""
READ = ("ckpt", "beside", "background", "ensemble", "image", "mask", "file")
"""The keys of files that commands read, beside the data."""


def check_outputs(config: Section, *beside: str, trained: DataConfig | None = None) -> None:
    """Raise UserError if a file that a command will write has no place, or is one that the command reads.

    It writes what its keys out and picture name, and beside out a file of each ending of ``beside``. It reads what its
    other keys name, and the images of the checkpoint's run, ``trained``, where these keys name no others.
    """
    read = list(_read(config, trained))
    for key in WRITTEN:
        path = getattr(config, key, None)
        if path is None:
            continue
        for file in (Path(path), *(Path(path).with_suffix(end) for end in beside if key == "out")):
            check_place(key, file)
            for other, source in read:
                if _is_read(file, other, Path(source)):
                    told = f"{key}={path}: would replace {named(file)}, which is read: {other}={named(source)}"
                    raise UserError(f"{told}; choose another name")


def _read(config: Section, trained: DataConfig | None) -> Iterator[tuple[str, str]]:
    """The keys of all files and folders that are read, and their paths."""
    for key in READ:
        found = getattr(config, key, None) or ()
        yield from ((key, path) for path in ([found] if isinstance(found, str) else found))
    for key in ("data", "own"):
        place = getattr(config, key, None)
        if place is None:
            continue
        path = place.path
        if path is None and getattr(place, "name", None) is None:
            path = getattr(trained, "path", None)
        if isinstance(path, str):  # that of a data set from outside may be anything
            yield f"{key}.path", path


def _is_read(file: Path, key: str, source: Path) -> bool:
    """Whether a file is the ``source`` that is read, or one of the pictures in a folder of data."""
    try:
        file, source = file.resolve(), source.resolve()
        inside = source.is_dir() and file.is_file() and file.is_relative_to(source)
    except (OSError, ValueError):  # a name that no file can have
        return False
    return file == source or (inside and key.endswith(".path") and file.suffix.lower() in SUFFIXES)
