"""A run's folder: its name, its lock, its recorded config, and the state of the run, all read from files in it."""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from pixelcnn_lit.config import RunConfig, check, inside
from pixelcnn_lit.config.changes import changes
from pixelcnn_lit.config.kinds import run_section
from pixelcnn_lit.config.migrate import migrated
from pixelcnn_lit.config.places import CHECKPOINTS, LAST, RECORD
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.scores import SCORES, Score
from pixelcnn_lit.storage.files import shown, write_whole

try:
    import fcntl
except ImportError:  # on Windows; cli says so before anything needs a lock
    CAN_LOCK = False
else:
    CAN_LOCK = True

METRICS, STOPPED, LOCK = "metrics.json", "stopped.json", ".lock"
OVERRIDES = RECORD.with_name("overrides.yaml")
HYDRA = RECORD.with_name("hydra.yaml")
SWEPT = RECORD.with_name("swept.yaml")
"""The overrides that differ between the jobs of a sweep."""
SWEEP = "multirun.yaml"
"""Hydra's config in the folder of a sweep."""
CURVE = "validation.csv"
LOG = "train.log"
TRIAL = "trial.json"
"""The file in the folder of a search's job that says which trial it is."""
PROFILES = tuple(f"{stage}-profile.txt" for stage in ("fit", "validate", "test"))
LOGS = ("tensorboard", "csv", "wandb")
FROM = "from_step"
"""In a part of the metrics: the number of steps that were done before it."""
COUNTS = frozenset({"params", "steps", "test_images", "val_images"})
NUMBERS = COUNTS | {"epochs", "images_per_second"} | {key for score in SCORES for key in (score.test, score.val)}
"""What is a number in metrics.json, and what of it is a whole one, if it is there."""
PICTURES = ("samples.png", "completions.png", "reconstructions.png")
LEFTOVERS = (METRICS, STOPPED, CHECKPOINTS, CURVE, *PICTURES, *LOGS, *PROFILES)
"""The files of a run, except its log, that ``overwrite=true`` deletes. Other files in the folder stay."""


@functools.cache  # called again after Lightning has started further processes and set WORLD_SIZE
def folder_name(name: str | None, experiment: str | None, model: str, now: str) -> str:
    """The folder of a run under outputs/: its name, or a dated folder.

    Raises ValueError for a name outside outputs/, and for no name if several processes would make different folders.
    """
    if name is not None and not isinstance(name, str):
        raise ValueError(f"name={name}: must be a text, such as run{name}")
    if name:
        try:
            return inside(name)
        except ValueError as error:
            raise ValueError(f"name={name}: {error}") from None
    if any(int(os.environ.get(key, 1)) > 1 for key in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")):
        raise ValueError("name: must be set where several processes start one run: each would make a dated folder")
    return new_folder(Path("outputs"), f"{experiment or model}/{now}")


def new_folder(parent: Path, name: str) -> str:
    """Make a folder that nobody else has, and return its name: ``name``, or ``name-2`` and so on if it exists already.

    Runs that start in the same second get different folders this way.
    """
    for number in itertools.count(1):
        chosen = name if number == 1 else f"{name}-{number}"
        try:
            (parent / chosen).mkdir(parents=True)
        except FileExistsError:
            if not parent.is_dir():  # a file is in the way, which whoever writes there will say
                return name
        except OSError:
            return name
        else:
            return chosen
    raise AssertionError("there is always a further number")


State = Literal["finished", "running", "failed", "pruned", "interrupted", "not started"]


@dataclass(frozen=True)
class Status:
    """The state of a run, with ``metrics`` if it is finished, and one line of ``reason`` if it failed or was pruned.

    An interrupted run has a reason where its metrics.json is damaged.
    """

    state: State
    metrics: dict[str, Any] | None = None
    reason: str = ""


def status(folder: Path) -> Status:
    """The state of the run in ``folder``, from its files."""
    metrics, fault = _metrics(folder)
    if metrics is not None:
        return Status("finished", metrics)
    if locked(folder):
        return Status("running")
    stopped, _ = _json_object(folder / STOPPED)
    if stopped is not None and stopped.get("state") in ("failed", "pruned"):
        return Status(stopped["state"], reason=str(stopped.get("reason", "")))
    return Status("interrupted" if fault or (folder / RECORD).exists() else "not started", reason=fault)


def finished(folder: Path) -> dict[str, Any] | None:
    """The metrics of a finished run; None if there is no complete metrics.json."""
    return _metrics(folder)[0]


def _metrics(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """The metrics of a finished run, or None and, where there is a file, one line of what is wrong with it."""
    path = folder / METRICS
    content, fault = _json_object(path)
    if content is None:
        return None, fault
    if score_in(content) is None:
        return None, f"{shown(path)}: damaged: it has no test score, {' or '.join(score.test for score in SCORES)}"
    for key, value in content.items():
        if key in NUMBERS and not _is_number(value, whole=key in COUNTS):
            what = "a whole number" if key in COUNTS else "a number"
            return None, f"{shown(path)}: damaged: {key} is {json.dumps(value)[:40]}, where {what} is expected"
    return content, ""


def _is_number(value: Any, *, whole: bool) -> bool:
    """Whether a value of the metrics is a number, or null: not measured."""
    kinds = int if whole else (int, float)
    return value is None or (isinstance(value, kinds) and not isinstance(value, bool))


def score_in(metrics: Mapping[str, Any]) -> Score | None:
    """The score by which a run's checkpoints were compared, from its metrics; None if they have none."""
    return next((score for score in SCORES if score.test in metrics), None)


def is_trial(folder: Path) -> bool:
    """Whether the run in ``folder`` is a job of a search."""
    return (folder / TRIAL).exists()


def trial(folder: Path) -> int | None:
    """The number of the trial of a search that the run in ``folder`` is; None for other runs."""
    told, _ = _json_object(folder / TRIAL)
    number = (told or {}).get("number")
    return number if isinstance(number, int) else None


def parts(metrics: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What made each part of a run, of its metrics: these themselves for a run that was made in one go."""
    return metrics.get("parts") or [metrics]


def summary(metrics: dict[str, Any]) -> str:
    """The result of a finished run in a few words."""
    score = score_in(metrics)
    test = None if score is None else metrics[score.test]
    return "no test" if score is None or test is None else f"test {test:{score.form}} {score.unit}"


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; None if it is missing or damaged."""
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception:  # YAML's and OmegaConf's errors have no base in common
        return None


def _json_object(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The names and values of a JSON file, or None and, where there is a file, one line of what is wrong with it."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{shown(path)}: cannot be read ({error.strerror or error})"
    except (ValueError, RecursionError) as error:
        return None, f"{shown(path)}: damaged: no whole JSON ({error})"
    if not isinstance(content, dict):
        return None, f"{shown(path)}: damaged: no object of names and values, as JSON, but a {type(content).__name__}"
    return content, ""


def stop(folder: Path, state: Literal["failed", "pruned"], reason: str) -> None:
    """Record in ``folder`` that its run ended early, and why."""
    with write_whole(folder / STOPPED) as file:
        file.write(json.dumps({"state": state, "reason": reason}).encode() + b"\n")


def rank() -> int:
    """The rank of this process in its run. Only rank 0 writes into the folder."""
    found = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next((value for value in found if value), 0))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock ``folder`` against other processes. Raise UserError if another process holds the lock.

    The kernel releases the lock when the process ends for any reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
    with file:
        if not _locks(file.fileno(), seconds=1):
            file.seek(0)
            holder = " ".join(file.read(200).split())
            raise UserError(
                f"{shown(folder)}: another process is writing there ({holder or 'unknown'}); wait, or end it"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield


def _locks(descriptor: int, seconds: float) -> bool:
    # Try for a moment: a killed process, or one that only checks the lock, may hold it very shortly.
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        else:
            return True


def locked(folder: Path) -> bool:
    """Whether a process holds the lock of ``folder``."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def claimed(folder: Path, config: RunConfig) -> Iterator[dict[str, Any] | None]:
    """Lock a run's folder during the block. Yields the metrics if the run is finished already, else None.

    With ``overwrite`` the old run is deleted first. Raises UserError if another process holds the folder, if the run
    there has another config, or if the folder is that of a sweep, or to be cleared and of no run.
    """
    if rank() > 0:  # the first process holds the lock for all
        yield None if starts_over(config) else finished(folder)
        return
    if (folder / SWEEP).exists():
        raise UserError(f"{shown(folder)}: holds a sweep; give the run another name")
    with held(folder):
        if starts_over(config):
            refuse_what_is_no_run(folder)
            clear(folder)
        refuse_another(folder, config)
        yield finished(folder)


def same_command(*, overwrite: bool, named: bool, where: str) -> str:
    """What goes on with what a command began: without a name, it is told by ``where``; overwrite would delete it."""
    kept = " without overwrite=true" if overwrite else ""
    return f"the same command{kept}{'' if named else f' with {where}'}"


def starts_over(config: RunConfig) -> bool:
    """Whether a run ignores what is in its folder: ``overwrite``, unless Slurm has requeued the run."""
    return config.overwrite and not os.environ.get("SLURM_RESTART_COUNT")


def holds_run(folder: Path) -> bool:
    """Whether a run has begun in a folder."""
    return (folder / RECORD).exists() or finished(folder) is not None


def refuse_what_is_no_run(folder: Path) -> None:
    """Raise UserError if :func:`clear` would delete files of a folder in which no run has been."""
    if holds_run(folder) or status(folder).state in ("failed", "pruned"):
        return
    if others := [name for name in map(str, LEFTOVERS) if (folder / name).exists()]:
        raise UserError(
            f"overwrite=true: {shown(folder)} holds {', '.join(others)}, and no run that they could be of; choose "
            "another name, or move them"
        )


def clear(folder: Path) -> None:
    """Delete the files of a run, and empty its log."""
    for name in LEFTOVERS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    if (folder / LOG).exists():  # it is open already, so it cannot be deleted
        os.truncate(folder / LOG, 0)


def discard(folder: Path) -> None:
    """Delete a run with all that tells of it, and its folder if nothing else is in there.

    Raises UserError if another process holds the folder.
    """
    with held(folder):
        clear(folder)
        for name in (LOG, TRIAL, OVERRIDES, HYDRA, SWEPT, LOCK):
            (folder / name).unlink(missing_ok=True)
    for place in ((folder / RECORD).parent, folder):
        with suppress(OSError):
            place.rmdir()


def record(folder: Path, config: RunConfig, overrides: Sequence[str], hydra: Any) -> None:
    """Write the config and overrides of a run under .hydra/, as Hydra does, and delete the record of an early end."""
    (folder / STOPPED).unlink(missing_ok=True)
    for name, content in (
        (HYDRA, {"hydra": hydra}),
        (OVERRIDES, list(overrides)),
        (RECORD, config.model_dump(mode="json")),
    ):
        _write_yaml(folder / name, content)


def note_overrides(folder: Path, overrides: Sequence[str], swept: Sequence[str]) -> None:
    """Write the overrides of a job of a sweep that has not begun, and those of them that the sweep varies, if any."""
    _write_yaml(folder / OVERRIDES, list(overrides))
    if swept:
        _write_yaml(folder / SWEPT, list(swept))


def _write_yaml(path: Path, content: Any) -> None:
    with write_whole(path) as file:
        file.write(OmegaConf.to_yaml(OmegaConf.create(content)).encode())


def swept(folder: Path) -> dict[str, str]:
    """The values of the keys that a sweep varies, in the folder of one of its jobs; none in other folders."""
    return values_of(overrides_in(folder / SWEPT))


def overrides_in(path: Path) -> tuple[str, ...]:
    """The overrides in a file of a run; none if it is missing or damaged."""
    found = read_yaml(path)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def values_of(overrides: Sequence[str]) -> dict[str, str]:
    """The values of overrides by their keys.

    >>> values_of(["model.n_res=2", "+plugins=[mine]"])
    {'model.n_res': '2', 'plugins': '[mine]'}
    """
    return {key.lstrip("+"): value for key, _, value in (override.partition("=") for override in overrides)}


def recorded(folder: Path) -> RunConfig | None:
    """The config of the run in ``folder``, or None if there is no run. Raise UserError if the file is damaged."""
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        plain = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:  # YAML's and OmegaConf's errors have no base in common
        raise UserError(f"{path}: damaged; overwrite=true starts over") from error
    if not isinstance(plain, dict):
        raise UserError(f"{path}: damaged; overwrite=true starts over")
    config = {str(key): value for key, value in plain.items()}
    try:
        return check(config, run_section(config))
    except UserError:  # perhaps of an older version: the folder does not contain its format
        return check(migrated(config, 1), run_section(config), f"{path}: ")


def refuse_another(folder: Path, config: RunConfig) -> None:
    """Raise UserError, which names the keys, if the run in ``folder`` has another config."""
    if different := differences(folder, config):
        raise UserError(
            f"{shown(folder)}: the run there has {'; '.join(different)}. Choose another name (with "
            f"ckpt={shown(folder / CHECKPOINTS / LAST)} to go on from there), or start over: overwrite=true"
        )


def differences(folder: Path, config: RunConfig) -> list[str]:
    """The differences between ``config`` and the config of the run in ``folder``, a text per key."""
    theirs = recorded(folder)
    if theirs is None:
        return []
    return [f"{key}={before}, not {now}" for key, (before, now) in changes(theirs, config).items()]
