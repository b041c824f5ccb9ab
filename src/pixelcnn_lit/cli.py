"""Shared by the commands: Hydra composes the config, a function runs with it, and errors are shown in one line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from pixelcnn_lit.config import Section, check, conf_dir, load_plugins, plugins_of
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.errors import Interrupted, UserError
from pixelcnn_lit.messages import SHOW_TRACEBACK, message
from pixelcnn_lit.storage.run_folder import folder_name
from pixelcnn_lit.sweeps.parent import end_with_parent


def run(config_name: str, section: type[Section], target: str) -> None:
    """Compose ``conf/<config_name>.yaml`` with the command line, check it, then import and call ``target`` with it.

    ``target`` is "module:function". Its module is imported last, so ``--help`` and errors in keys are fast. An error
    ends the process with status 1 and one line on standard error, or a traceback if HYDRA_FULL_ERROR=1 is set. Ctrl-C
    ends it with status 130, SIGTERM with 143.
    """
    end_with_parent()
    wants_traceback = os.environ.get(SHOW_TRACEBACK) == "1"
    # Hydra's parser needs all overrides in one sequence. Moving -m to the front lets users write it anywhere.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument not in ("-m", "--multirun"))

    def task(composed: DictConfig) -> float | None:
        with _environment(SHOW_TRACEBACK, "1" if wants_traceback else None), one_line_errors(wants_traceback):
            load_plugins(plugins_of(composed))
            config = check(composed, section)
            outcome: float | None = imported(target)(config)
            return outcome

    OmegaConf.register_new_resolver("folder", folder_name, replace=True)
    with one_line_errors(wants_traceback):
        _check_flags()
    # With this variable, Hydra raises errors to us, and does not print several lines itself.
    with _environment(SHOW_TRACEBACK, "1"), one_line_errors(wants_traceback):
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(task)()


def _check_flags() -> None:
    """Raise UserError for unknown options, for which Hydra's parser would print several lines."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; settings have the form key=value, --help shows them")

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args()


@contextmanager
def one_line_errors(wants_traceback: bool | None = None) -> Iterator[None]:
    """End the process with one line if the block raises, or with a traceback if the environment asks for it."""
    if wants_traceback is None:
        wants_traceback = os.environ.get(SHOW_TRACEBACK) == "1"
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


def _end(message: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(status)
