"""A run's folder says all about the run: whether it is finished, how it ended, where it goes on, who writes in it."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from pixelcnn_lit.config import TrainConfig, check, inside
from pixelcnn_lit.config.migrate import migrated
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.files import shown, write_whole

METRICS, STOPPED, LOCK = "metrics.json", "stopped.json", ".lock"
RECORD, OVERRIDES = Path(".hydra", "config.yaml"), Path(".hydra", "overrides.yaml")
CHECKPOINTS, CURVE = "checkpoints", "validation.csv"
LOG = "train.log"
TRIAL = "trial.json"
"""In the folder of a search's job: which trial it is."""
PROFILES = tuple(f"{stage}-profile.txt" for stage in ("fit", "validate", "test"))
LOGS = ("tensorboard", "csv", "wandb")
LEFTOVERS = (METRICS, STOPPED, CHECKPOINTS, CURVE, "samples.png", "completions.png", *LOGS, *PROFILES)
"""What a run leaves beside its log, and ``overwrite=true`` takes away: whatever else is in the folder stays."""

CHANGEABLE = frozenset(
    {
        "checkpoint.every_minutes",
        "name",
        "overwrite",
        "data.dir",
        "plugins",
        "trainer.default_root_dir",
        "trainer.detect_anomaly",
        "trainer.enable_model_summary",
        "trainer.enable_progress_bar",
        "trainer.profiler",
    }
)
"""Keys that change nothing of what a run computes: it may go on with others."""


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


State = Literal["finished", "running", "failed", "pruned", "interrupted", "not started"]


@dataclass(frozen=True)
class Status:
    """How a run stands: ``metrics`` where it is finished, one line of ``reason`` where it failed or was pruned."""

    state: State
    metrics: dict[str, Any] | None = None
    reason: str = ""


def status(folder: Path) -> Status:
    """How the run in ``folder`` stands, from what is there."""
    if metrics := finished(folder):
        return Status("finished", metrics)
    if locked(folder):
        return Status("running")
    stopped = _read_json(folder / STOPPED)
    if stopped is not None and stopped.get("state") in ("failed", "pruned"):
        return Status(stopped["state"], reason=str(stopped.get("reason", "")))
    return Status("interrupted" if (folder / RECORD).exists() else "not started")


def finished(folder: Path) -> dict[str, Any] | None:
    """The metrics of a finished run; None where there is no whole metrics.json."""
    metrics = _read_json(folder / METRICS)
    return metrics if metrics is not None and "test/bits_per_dim" in metrics else None


def is_trial(folder: Path) -> bool:
    """Whether the run in ``folder`` is a job of a search."""
    return (folder / TRIAL).exists()


def summary(metrics: dict[str, Any]) -> str:
    """The result of a finished run in a few words."""
    test = metrics["test/bits_per_dim"]
    return "no test" if test is None else f"test {test:.4f} bits/dim"


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def stop(folder: Path, state: Literal["failed", "pruned"], reason: str) -> None:
    """Write down that, and why, the run in ``folder`` ended early."""
    with write_whole(folder / STOPPED) as file:
        file.write(json.dumps({"state": state, "reason": reason}).encode() + b"\n")


def rank() -> int:
    """Which process of a run this is; 0 alone writes in its folder."""
    found = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next((value for value in found if value), 0))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep all other processes out of ``folder``. Raise UserError if another one is in it.

    The lock is the kernel's: it ends with the process, however that ends.
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
    # Tried for a moment: a process that was killed, or one that only looks, may hold it for the blink of an eye.
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
    """Whether a process is writing in ``folder``."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def claimed(folder: Path, config: TrainConfig) -> Iterator[dict[str, Any] | None]:
    """Hold a run's folder while its run goes on. Gives the metrics of a run that is finished already, else None.

    Raises UserError if another process is in the folder, or if the run there was started with another config.
    """
    if rank() > 0:  # the first process holds it for all
        yield None if starts_over(config) else finished(folder)
        return
    with held(folder):
        if starts_over(config):
            clear(folder)
        refuse_another(folder, config)
        yield finished(folder)


def starts_over(config: TrainConfig) -> bool:
    """Whether a run takes no notice of what is in its folder; one that Slurm put back in its queue does."""
    return config.overwrite and not os.environ.get("SLURM_RESTART_COUNT")


def clear(folder: Path) -> None:
    """Take away what a run left."""
    for name in LEFTOVERS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    if (folder / LOG).exists():  # it is open already
        os.truncate(folder / LOG, 0)


def record(folder: Path, config: TrainConfig, overrides: Sequence[str], hydra: Any) -> None:
    """Write down what a run was told, under .hydra/ as Hydra itself would, and forget how it ended before."""
    (folder / STOPPED).unlink(missing_ok=True)
    for name, content in (
        ("hydra.yaml", {"hydra": hydra}),
        (OVERRIDES.name, list(overrides)),
        (RECORD.name, config.model_dump(mode="json")),
    ):
        with write_whole(folder / ".hydra" / name) as file:
            file.write(OmegaConf.to_yaml(OmegaConf.create(content)).encode())


def note_overrides(folder: Path, overrides: Sequence[str]) -> None:
    """Write down what a run that has not begun will be told."""
    with write_whole(folder / OVERRIDES) as file:
        file.write(OmegaConf.to_yaml(OmegaConf.create(list(overrides))).encode())


def recorded(folder: Path) -> TrainConfig | None:
    """The config that the run in ``folder`` was started with; None where none was. Raise UserError if it is damaged."""
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
        return check(config, TrainConfig)
    except UserError:  # of an older version, perhaps, whose format the folder does not say
        return check(migrated(config, 1), TrainConfig, f"{path}: ")


def refuse_another(folder: Path, config: TrainConfig) -> None:
    """Raise UserError if the run in ``folder`` was started with another config, and name the keys."""
    if different := differences(folder, config):
        raise UserError(
            f"{shown(folder)}: the run there has {'; '.join(different)}. "
            "Choose another name, or start over: overwrite=true"
        )


def differences(folder: Path, config: TrainConfig) -> list[str]:
    """In words, the keys in which ``config`` differs from that of the run in ``folder``; empty where there is none."""
    theirs = recorded(folder)
    if theirs is None:
        return []
    before, now = flat(theirs.model_dump(mode="json")), flat(config.model_dump(mode="json"))
    return [
        f"{key}={before.get(key)}, not {now.get(key)}"
        for key in dict.fromkeys([*before, *now])
        if key not in CHANGEABLE and not key.startswith("logger.") and before.get(key) != now.get(key)
    ]


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as one dictionary of dotted keys."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return result
