"""Downloads of data sets, with a timeout and errors in one line."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from pixelcnn_lit.config.parts import imported

TIMEOUT = 5.0  # seconds without an answer from the server


class NotFoundError(Exception):
    """The files do not exist, and the download failed."""


def torchvision_datasets(name: str) -> Any:
    """The attribute ``name`` of ``torchvision.datasets``."""
    # Imported here: torchvision takes seconds to import, and only a download needs it.
    return imported(f"torchvision.datasets:{name}")


@contextmanager
def downloading(what: str) -> Iterator[None]:
    """Run a download in this block, without its own messages. Raise NotFoundError if it fails.

    ``what`` is the beginning of the error's message.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    except Exception as error:  # torchvision raises a different kind for each way that a download fails
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise NotFoundError(f"{what} could not be downloaded ({reason})") from error
    finally:
        socket.setdefaulttimeout(before)
