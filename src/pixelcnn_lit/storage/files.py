"""Files appear whole or not at all: written aside, flushed, renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pixelcnn_lit.errors import UserError


@contextmanager
def write_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the name ``path`` only when the block ends well. Raise UserError if it can't."""
    path = Path(path)
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
            _flush_folder(path.parent)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def copy_whole(source: str | Path, path: str | Path) -> None:
    """Give the content of ``source`` the name ``path`` as well: at no time is there a file half of it."""
    with Path(source).open("rb") as content, write_whole(path) as file:
        shutil.copyfileobj(content, file)


def _flush_folder(folder: Path) -> None:
    # Without this, a power cut may take back the renaming.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shown(path: Path) -> str:
    """A path as short as it can be from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
