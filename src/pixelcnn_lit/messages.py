"""Messages to the user: lines on the screen and in the log, and errors in one line."""

from __future__ import annotations

import logging
import re
import sys

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from rich import get_console
from rich.text import Text

from pixelcnn_lit.config import conf_dir, one_line
from pixelcnn_lit.errors import UserError, in_words

SHOW_TRACEBACK = "HYDRA_FULL_ERROR"
"""The environment variable, the same as Hydra's, that asks for tracebacks."""
NO_NAME = r"null|true|false|nan|inf|[-+\d.e]+|[\[{].*"
"""Values that cannot be the name of an option of a config group."""
SHOWN = logging.getLogger("pixelcnn_lit.shown")
"""Copies what a run prints on the screen into its log file only: see conf/hydra/job_logging."""


def say(text: str | Text) -> None:
    """Print a text as it is, brackets and all, and write it to the run's log. A rich Text may have styles."""
    get_console().print(text, highlight=False, soft_wrap=True, markup=False)
    SHOWN.info(str(text))


def message(error: Exception) -> str:
    """The text of an error in one line, as a user sees it."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, HydraException) and isinstance(error.__cause__, UserError):  # of a sweeper or launcher
        return message(error.__cause__)
    if isinstance(error, HydraException | OmegaConfBaseException):
        text = one_line(error)
        # Hydra names the interpolation, but not the group that has it as its option.
        word = _of_a_group(r".*\$\{.*") if text.startswith("Error resolving interpolation") else None
        return f"{word}: {text}" if word else text
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if isinstance(error, TypeError | ValueError) and (word := _of_a_group(NO_NAME)):  # Hydra does not say which
        return f"{word}: names a group of keys; choose one of its options, which --help lists"
    return f"{in_words(error, untyped=())} ({SHOW_TRACEBACK}=1 shows where)"


def _of_a_group(pattern: str) -> str | None:
    """The first override of a group of conf/ whose value has this pattern."""
    for word in sys.argv[1:]:
        key, _, value = word.partition("=")
        if re.fullmatch(r"\w+", key) and (conf_dir() / key).is_dir() and re.fullmatch(pattern, value, re.IGNORECASE):
            return word
    return None
