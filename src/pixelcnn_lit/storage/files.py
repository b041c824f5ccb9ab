"""Files: whether one exists, and atomic writing: flushed under another name, then renamed, so never incomplete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pixelcnn_lit.config.types import PRETRAINED, named
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.start import NOTHING

_whole: list[Path] = []
"""What this process has written, in order."""


def interrupted() -> str:
    """What a command that is interrupted says, where it has nothing of its own to go on from."""
    if not _whole:
        return NOTHING
    return f"{', '.join(map(str, _whole))} is written; the same command starts again, and writes all"


def check_file(key: str, path: str | Path) -> None:
    """Raise UserError, which names ``key=path``, unless ``path`` is an existing file."""
    # os.path, unlike pathlib, returns False for names that no file can have.
    if not os.path.isfile(path):  # noqa: PTH113
        raise UserError(f"{key}={path}: {'a folder' if os.path.isdir(path) else 'no such file'}")  # noqa: PTH112


def check_place(key: str, path: str | Path) -> None:
    """Raise UserError, which names ``key=path``, if no file can be written there: before hours are spent on it."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{key}={path}: cannot be written (it is a folder)")
    try:
        there = next(folder for folder in path.absolute().parents if folder.exists())
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise UserError(f"{key}={path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def write_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a binary file that gets the name ``path`` only if the block ends without an error.

    Raises UserError if the file cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: cannot be written (it is a folder)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            aside = Path(file.name)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
        try:
            aside.chmod(0o666 & ~_umask())
            aside.replace(path)
            _whole.append(path)
            _flush_folder(path.parent)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def copy_whole(source: str | Path, path: str | Path) -> None:
    """Copy ``source`` to ``path`` atomically."""
    with Path(source).open("rb") as content, write_whole(path) as file:
        shutil.copyfileobj(content, file)


def _flush_folder(folder: Path) -> None:
    # Without this, the new name may be lost in a power cut.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shown(path: Path) -> str:
    """The path as a text: ``pretrained:NAME``, or relative to the current folder if it is inside it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.parent != PRETRAINED and path.is_relative_to(here) else named(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
