"""The errors with a meaning of their own: a user's mistake, a signal, and a pruned run; and all others in words."""

from __future__ import annotations

import signal
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Interrupted(KeyboardInterrupt):
    """A signal has ended a run. The message says how to resume it; ``number`` is the signal."""

    def __init__(self, how: str, number: signal.Signals | None) -> None:
        super().__init__(how)
        self.number = number or signal.SIGINT


class Pruned(Exception):  # noqa: N818
    """The pruner of a search has ended a run. The message says what the run had reached."""


class UserError(Exception):
    """A user's mistake. The message is one line: which key or file is wrong, why, and what would be right."""


@contextmanager
def blamed(part: str) -> Iterator[None]:
    """A block that calls a user's own part: what is wrong in it is a UserError that begins with ``part``."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise UserError(f"{part}: {in_words(error)}") from error


def in_words(error: Exception, untyped: tuple[type[Exception], ...] = (ValueError, TypeError)) -> str:
    """The text of any error in one line, with its type, and with the line where a user's own part raised it.

    Those of ``untyped`` say what is wrong without their type.
    """
    kind = "" if isinstance(error, untyped) else type(error).__name__
    text = ": ".join(part for part in (kind, " ".join(str(error).split())) if part)
    place = own_line(error)
    return f"{text}, {place}" if place else text


def own_line(error: Exception) -> str | None:
    """The last line of a file of the user's that an error went through below the package, in words.

    None if there is none: what called the package is no part of it, and what is installed is not the user's.
    """
    package, *others = Path(__file__).parent, *(Path(sysconfig.get_path(of)) for of in ("stdlib", "platlib"))
    below, found = False, None
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(package):
            below = True
        elif below and path.is_file() and not any(path.is_relative_to(other) for other in others):
            found = f"in line {line} of {path.name}"
    return found
