"""Shared by the commands: Hydra composes the config, a function runs with it, and errors are shown in one line."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from pixelcnn_lit.config import Section, check, conf_dir, load_plugins, plugins_of, with_home
from pixelcnn_lit.config.help import help_text
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.config.values import completions
from pixelcnn_lit.errors import Interrupted, UserError
from pixelcnn_lit.messages import SHOW_TRACEBACK, message, say
from pixelcnn_lit.start import imports
from pixelcnn_lit.storage import files, run_folder
from pixelcnn_lit.sweeps.keys import left_to_the_jobs
from pixelcnn_lit.sweeps.parent import end_with_parent

NO_USER_ASKED = "PIXELCNN_LIT_ONE_LINE"
"""The environment variable that says that SHOW_TRACEBACK was set here, for Hydra, and not by a user.

The jobs of a sweep inherit both."""
TOO_NEW = (3, 14)
"""The first Python in which Hydra 1.3 cannot make its parser of arguments; pyproject.toml has the same bound."""


def run(config_name: str, section: type[Section], target: str) -> None:
    """Compose ``conf/<config_name>.yaml`` with the command line, check it, then import and call ``target`` with it.

    ``target`` is "module:function". Its module is imported last, so ``--help`` and errors in keys are fast. An error
    ends the process with status 1 and one line on standard error, or a traceback if HYDRA_FULL_ERROR=1 is set. Ctrl-C
    ends it with status 130, SIGTERM with 143, and a line that says what was kept and what goes on from there.
    """
    wants_traceback = _wants_traceback()
    with one_line_errors(wants_traceback):
        _check_system()
    end_with_parent()
    # Hydra's parser needs all overrides in one sequence. Moving -m to the front lets users write it anywhere.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument not in ("-m", "--multirun"))

    begun: list[DictConfig] = []

    def task(composed: DictConfig) -> float | None:
        begun.append(composed)
        asked = _environment(SHOW_TRACEBACK, "1" if wants_traceback else None)
        with asked, _environment(NO_USER_ASKED, None), one_line_errors(wants_traceback):
            _return_to_start()
            load_plugins(plugins_of(composed))
            config = check(composed, section)
            with imports():
                command = imported(target)
            outcome: float | None = command(config)
            return outcome

    OmegaConf.register_new_resolver("folder", run_folder.folder_name, replace=True)
    with one_line_errors(wants_traceback):
        sys.argv[1:] = map(with_home, sys.argv[1:])
        asked = _flags()
        if told := _completed(section, asked):
            print("\n".join(told))
            return
    # With this variable, Hydra raises errors to us, and does not print several lines itself.
    ours = _environment(NO_USER_ASKED, None if wants_traceback else "1")
    with ours, _environment(SHOW_TRACEBACK, "1"), one_line_errors(wants_traceback):
        main = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(task)
        _start(_help_asked(config_name, asked) or main, begun)


def _help_asked(config_name: str, asked: Namespace) -> Callable[[], object] | None:
    """What shows the help of a command, if the command line asks for it. That of a foreign config is Hydra's own."""
    foreign = asked.config_dir or asked.config_path or asked.config_name
    return (lambda: print(help_text(config_name, asked.overrides))) if asked.help and not foreign else None


def _start(main: Callable[[], object], begun: Sequence[DictConfig]) -> None:
    """Call what Hydra made of a task, which notes that it has ``begun``.

    In a sweep over groups, a key that only some jobs have is left to the jobs. A help that nobody reads to its end, as
    before ``| head``, ends without a word, as the programs of a shell do.
    """
    while True:
        try:
            main()
            sys.stdout.flush()
        except BrokenPipeError:
            if begun:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes at its end
            sys.exit(128 + signal.SIGPIPE)
        except ConfigCompositionException as error:
            changed = left_to_the_jobs(sys.argv[1:], error)
            if changed is None:
                raise
            sys.argv[1:] = changed
        else:
            return


def _completed(section: type[Section], asked: Namespace) -> list[str]:
    """What a shell that asks is told of a key with a list of values. Empty for all others, which Hydra completes."""
    line = os.environ.get("COMP_LINE", "")
    if not asked.shell_completion or not any(word.startswith("query=") for word in asked.overrides):
        return []
    return [] if line.endswith(" ") or not line else completions(section, line.split()[-1])


def _check_system() -> None:
    """Raise UserError on a system, or with a Python, in which the commands cannot work."""
    if sys.version_info >= TOO_NEW:
        version, newest = ".".join(map(str, sys.version_info[:2])), TOO_NEW[1] - 1
        raise UserError(f"Python {version}: pixelcnn-lit needs 3.11 to 3.{newest}; Hydra 1.3 fails in newer ones")
    if not run_folder.CAN_LOCK:
        raise UserError(f"{sys.platform}: pixelcnn-lit runs on Linux and macOS, and on Windows in WSL alone")


def _return_to_start() -> None:
    """Undo ``hydra.job.chdir=true``, under which every relative path would mean another file than it does without."""
    told = HydraConfig.get()
    if told.job.chdir:
        os.chdir(told.runtime.cwd)
        if run_folder.rank() == 0:
            say(f"note: hydra.job.chdir=true: relative paths still mean {told.runtime.cwd}, where the command started")


def _flags() -> Namespace:
    """The options of the command line. Raise UserError for unknown ones: Hydra's parser would print several lines."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; settings have the form key=value, --help shows them")

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args()


def _wants_traceback() -> bool:
    return os.environ.get(SHOW_TRACEBACK) == "1" and NO_USER_ASKED not in os.environ


@contextmanager
def one_line_errors(wants_traceback: bool | None = None) -> Iterator[None]:
    """End the process with one line if the block raises, or with a traceback if the environment asks for it."""
    if wants_traceback is None:
        wants_traceback = _wants_traceback()
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
        what = "terminated" if number == signal.SIGTERM else "interrupted"
        _end(": ".join([what, *map(str, interrupt.args or [files.interrupted()])]), 128 + number)
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
