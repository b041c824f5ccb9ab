"""Which runs compare: those whose scores are of the same question; and their means over seeds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TypeVar

from pixelcnn_lit.reporting.collect import Run, swept_keys
from pixelcnn_lit.scores import Score

SEED = "seed"
NOT_SCORED = frozenset({"data.batch_size", "data.dir", "data.embedding", "data.n_classes", "data.source"})
"""Keys of the data that change nothing of the images that a score is a mean over; the source is in the metrics."""
GIVEN = (("context.name", "none"), ("context.factor", None))
"""Keys of what the images are given, and their values in a config that is older than contexts."""
MEASURED = ("source", "test_images", "val_images")
"""What the metrics of a finished run say of the images that its scores are means over."""
Key = TypeVar("Key")


@dataclass(frozen=True)
class Group:
    """Runs whose scores compare, the best first: the same data, split, levels, binarisation, context, test images."""

    label: str
    runs: tuple[Run, ...]
    keys: tuple[str, ...]
    """The keys in which they differ."""

    @property
    def score(self) -> Score:
        return self.runs[0].score

    @property
    def scored(self) -> list[Run]:
        """The runs with a test result."""
        return [run for run in self.runs if run.test is not None]

    @property
    def best(self) -> Run | None:
        """The run with the best test result, if there are others that it is better than."""
        return self.scored[0] if len(self.scored) > 1 else None

    @property
    def is_search(self) -> bool:
        """Whether they are trials of a search, of which no two differ in one key alone."""
        return any(run.trial is not None for run in self.runs)

    def besides(self, *keys: str) -> list[str]:
        """The keys in which the runs differ, without some."""
        return [key for key in self.keys if key not in keys]

    def settings(self) -> list[Setting]:
        """The runs by what they were told beside the seed, the best mean first.

        None if no two differ in it alone, or none has a test result.
        """
        if SEED not in self.keys or not self.scored:
            return []
        told = by(self.runs, lambda run: tuple(run.value(key) for key in self.besides(SEED)))
        made = [Setting(values, tuple(runs)) for values, runs in told.items()]
        if all(len(setting.runs) == 1 for setting in made):
            return []
        return sorted(made, key=lambda setting: math.inf if setting.test is None else setting.test.mean)


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seed alone; ``values`` are those of the other keys of their group."""

    values: tuple[str, ...]
    runs: tuple[Run, ...]

    @property
    def n_tested(self) -> int:
        """How many of the runs have a test score."""
        return sum(run.test is not None for run in self.runs)

    @property
    def test(self) -> Mean | None:
        """Of the test scores; None if there are none."""
        return Mean.of([run.test for run in self.runs])

    @property
    def val(self) -> Mean | None:
        """Of the scores of validation; None if there are none."""
        return Mean.of([run.val for run in self.runs])


@dataclass(frozen=True)
class Mean:
    """A mean over seeds, and the standard deviation, which divides by n - 1: None for one seed alone."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, scores: Sequence[float | None]) -> Mean | None:
        """Of those that are there; None if there are none."""
        there = [score for score in scores if score is not None]
        return cls(fmean(there), stdev(there) if len(there) > 1 else None) if there else None


def groups(found: Sequence[Run]) -> list[Group]:
    """The runs in groups of those that compare, in the order of their labels. Each run is in one group.

    A run that is not finished has not said which images it will be tested on: it is with the finished ones whose config
    asks the same, if these are one group.
    """
    parts: list[list[Run]] = []
    for alike in by(found, asked).values():
        finished = by([run for run in alike if run.status.metrics is not None], measured)
        open_ = [run for run in alike if run.status.metrics is None]
        if len(finished) <= 1:
            parts.append(alike)
        else:
            parts += [*finished.values(), *([open_] if open_ else [])]
    labels = _labels([part[0] for part in parts])
    made = [Group(label, tuple(part), tuple(swept_keys(part))) for label, part in zip(labels, parts, strict=True)]
    return sorted(made, key=lambda group: natural(group.label))


def by(runs: Iterable[Run], key: Callable[[Run], Key]) -> dict[Key, list[Run]]:
    """The runs by something of theirs, in their order."""
    found: dict[Key, list[Run]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return found


def asked(run: Run) -> tuple[tuple[str, str], ...]:
    """What the config says of the question that a score answers."""
    keys = [key for key in run.config if key.startswith("data.") and key not in NOT_SCORED]
    told = {key: run.config[key] for key in keys} | {key: run.config.get(key, none) for key, none in GIVEN}
    told |= {"the class is given": run.config.get("model.n_classes") is not None, "score": run.score.name}
    told |= {"unknown": run.unknown}
    return tuple(sorted((key, str(value)) for key, value in told.items()))


def measured(run: Run) -> tuple[str, ...]:
    """What the metrics say of it."""
    return tuple(str(run.metrics.get(key)) for key in MEASURED)


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key for sorting in which numbers count as numbers.

    >>> sorted(["16 levels", "2 levels"], key=natural)
    ['2 levels', '16 levels']
    """
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def number_in(text: str) -> float | None:
    """The number that a text is; None if it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def _labels(runs: Sequence[Run]) -> list[str]:
    """A label for each run that tells what its score is a mean over."""
    labels = [_label(run) for run in runs]
    told = [dict(asked(run)) | dict(zip(MEASURED, measured(run), strict=True)) for run in runs]
    whole = []
    for label, mine in zip(labels, told, strict=True):
        twins = [other for other, twin in zip(told, labels, strict=True) if twin == label]
        more = [key for key, value in mine.items() if any(twin.get(key) != value for twin in twins)]
        whole.append(label + "".join(f", {key}={mine[key]}" for key in more))
    return whole


def _label(run: Run) -> str:
    config, metrics = run.config, run.metrics
    if run.unknown:
        return run.unknown
    source = Path(str(metrics["source"])).name if "source" in metrics else ""
    parts = [str(config.get("data.name", metrics.get("data", "data")))]
    if source and source != parts[0]:
        parts[0] += f" ({source})"
    parts.append(f"{config.get('data.levels', metrics.get('levels', '?'))} levels")
    if config.get("data.binarize"):
        parts.append(f"binarised ({config['data.binarize']})")
    if config.get("context.name", "none") != "none":
        parts.append(f"given context={config['context.name']}")
    if config.get("model.n_classes") is not None:
        parts.append("given the class")
    if images := metrics.get("test_images"):
        parts.append(f"{images:,} test images")
    return ", ".join(parts)
