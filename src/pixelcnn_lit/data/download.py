"""Downloads of data sets, with a timeout and errors in one line, and whole or not at all."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from io import StringIO
from pathlib import Path
from typing import Any

from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.errors import UserError

TIMEOUT = 5.0  # seconds without an answer from the server


_forbidden: ContextVar[bool] = ContextVar("forbidden", default=False)


class NotFoundError(Exception):
    """The files do not exist, and the download failed."""


def torchvision_datasets(name: str) -> Any:
    """The attribute ``name`` of ``torchvision.datasets``."""
    # Imported here: torchvision takes seconds to import, and only a download needs it.
    return imported(f"torchvision.datasets:{name}")


@contextmanager
def without_downloads() -> Iterator[None]:
    """In this block, a download is not tried: it fails at once."""
    token = _forbidden.set(True)
    try:
        yield
    finally:
        _forbidden.reset(token)


@contextmanager
def downloading(folder: Path, what: str) -> Iterator[Path]:
    """Run a download in this block, without its own messages. Yields a new folder for it, beside where files will be.

    The folder is inside ``folder`` and is removed afterwards, so that a download that fails leaves no half of a file:
    the block moves what it wants to keep by :func:`keep`.

    Raises NotFoundError, whose message begins with ``what``, if the download fails, and UserError as the block does.
    """
    if _forbidden.get():
        raise NotFoundError(f"{what} is not downloaded here")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    aside = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder, prefix=".download-"))
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield aside
    except UserError:
        raise
    except Exception as error:  # torchvision raises a different kind for each way that a download fails
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise NotFoundError(f"{what} could not be downloaded ({reason})") from error
    finally:
        socket.setdefaulttimeout(before)
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def keep(files: Path, folder: Path) -> None:
    """Move the files of a folder to ``folder``, each as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(files.iterdir()):
        path.replace(folder / path.name)
