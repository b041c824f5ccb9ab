"""What the commands share: Hydra composes, a task runs, and whatever goes wrong ends in one line."""

from __future__ import annotations

import functools
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pixelcnn_lit.config import conf_dir, inside, one_line
from pixelcnn_lit.errors import Interrupted, UserError

TRACEBACK = "HYDRA_FULL_ERROR"
NO_NAME = r"null|true|false|nan|inf|[-+\d.e]+|[\[{].*"
SHOWN = logging.getLogger("pixelcnn_lit.shown")
"""What a run shows to a person, for its log file alone: conf/hydra/job_logging."""
PARENT = "PIXELCNN_LIT_PARENT"
"""Set for a job of a sweep: the process without which it has to end."""


def run(config_name: str, task: Callable[[DictConfig], float | None]) -> None:
    """Run ``task`` on the config that conf/ and the command line make.

    An error ends the process with status 1 and one line on standard error; with HYDRA_FULL_ERROR=1 in the environment
    it shows its traceback. Ctrl-C ends it with status 130, SIGTERM with 143.
    """
    _end_with_parent()
    wants_traceback = os.environ.get(TRACEBACK) == "1"
    # Hydra's parser takes overrides in one piece only: -m may stand anywhere.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument not in ("-m", "--multirun"))

    @functools.wraps(task)
    def guarded(config: DictConfig) -> float | None:
        with _environment(TRACEBACK, "1" if wants_traceback else None), one_line_errors(wants_traceback):
            return task(config)

    OmegaConf.register_new_resolver("folder", folder_name, replace=True)
    with one_line_errors(wants_traceback):
        _check_flags()
    # With this set, Hydra hands errors on to us instead of printing its own several lines.
    with _environment(TRACEBACK, "1"), one_line_errors(wants_traceback):
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(guarded)()


def say(text: str) -> None:
    """Show a line of rich's markup to a person, and keep it in the run's log."""
    from rich import get_console
    from rich.text import Text

    get_console().print(text, highlight=False, soft_wrap=True)
    SHOWN.info(Text.from_markup(text).plain)


def _check_flags() -> None:
    """Raise UserError for options that Hydra does not know, where its parser would print several lines."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; settings have the form key=value, --help shows them")

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args()


@functools.cache  # Lightning asks again after it has made this process one of several
def folder_name(name: str | None, experiment: str | None, model: str, now: str) -> str:
    """Where under outputs/ a run goes: its name, or a dated folder. Raise ValueError where that would be several."""
    if name:
        try:
            return inside(name)
        except ValueError as error:
            raise ValueError(f"name={name}: {error}") from None
    if any(int(os.environ.get(key, 1)) > 1 for key in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")):
        raise ValueError("name: must be set where several processes start one run: each would make a dated folder")
    return f"{experiment or model}/{now}"


@contextmanager
def one_line_errors(wants_traceback: bool | None = None) -> Iterator[None]:
    """End the process with one line where the block raises; with a traceback where the environment asks for it."""
    if wants_traceback is None:
        wants_traceback = os.environ.get(TRACEBACK) == "1"
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
        what = "terminated" if number == signal.SIGTERM else "interrupted"
        _end(": ".join([what, *map(str, interrupt.args)]), 128 + number)
    except Exception as error:
        if wants_traceback:
            raise
        _end(f"error: {message(error)}", 1)


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def message(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, HydraException) and isinstance(error.__cause__, UserError):  # of a sweeper or launcher
        return message(error.__cause__)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return one_line(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    text = " ".join(str(error).split())
    if isinstance(error, TypeError | ValueError) and (word := _no_option()):  # Hydra does not say which
        return f"{word}: names a group of keys; choose one of its options, which --help lists"
    return f"{type(error).__name__}: {text} ({TRACEBACK}=1 shows where)"


def _no_option() -> str | None:
    """The first override that gives a group of conf/ something that cannot be the name of an option."""
    for word in sys.argv[1:]:
        key, _, value = word.partition("=")
        if re.fullmatch(r"\w+", key) and (conf_dir() / key).is_dir() and re.fullmatch(NO_NAME, value, re.IGNORECASE):
            return word
    return None


def _end(message: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(status)


def _end_with_parent() -> None:
    """Let the kernel send SIGTERM when the process that started it ends, however it does. Linux alone."""
    parent = os.environ.pop(PARENT, None)
    if parent is None or not sys.platform.startswith("linux"):
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)
