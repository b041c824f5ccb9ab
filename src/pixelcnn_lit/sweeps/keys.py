"""Keys that only some jobs of a sweep have."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from pixelcnn_lit.config import conf_dir

SWEEPS = ("-m", "--multirun", "hydra.mode=MULTIRUN")
PARAMS = "hydra.sweeper.params"


def left_to_the_jobs(arguments: Sequence[str], error: HydraException) -> list[str] | None:
    """The arguments of a sweep with the key that Hydra refused in ``error`` as ``++key=value``.

    Hydra composes a config of the overrides that all jobs share before there is any job, with the default option of a
    group that is swept. Any config takes a key with ``++``; the check of each job then says whether the job has it.

    Returns None if all jobs lack the key: without a sweep over a group, or if the key is not in ``arguments``.
    """
    if not any(argument in SWEEPS for argument in arguments) or not any(map(_sweeps_a_group, arguments)):
        return None
    changed = [f"++{argument}" if _is_refused(argument, error) else argument for argument in arguments]
    return None if changed == list(arguments) else changed


def _is_refused(argument: str, error: HydraException) -> bool:
    return str(error).startswith(f"Could not override '{argument.partition('=')[0]}'.")


def _sweeps_a_group(argument: str) -> bool:
    key = argument.partition("=")[0].lstrip("+")
    if key.startswith(PARAMS):
        return True
    if not key or "/" in key or not (conf_dir() / key).is_dir():
        return False
    try:
        return bool(OverridesParser.create().parse_override(argument).is_sweep_override())
    except HydraException:
        return False
