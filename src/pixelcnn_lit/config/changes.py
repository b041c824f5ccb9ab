"""What differs between the configs of two runs."""

from __future__ import annotations

from typing import Any

from pixelcnn_lit.config.train import RunConfig
from pixelcnn_lit.config.values import in_words

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
"""Keys that do not change what a run computes. A run may resume in its folder with other values of them."""

ORIGIN = frozenset({"ckpt", "weights", "data.path", "data.source"})
"""Where a run begins and where its data lie. They may differ where a new run resumes from a checkpoint."""


def changes(before: RunConfig, now: RunConfig, besides: frozenset[str] = frozenset()) -> dict[str, tuple[str, str]]:
    """The keys, dotted, whose values differ in a way that changes what a run computes: key -> (before, now).

    The values are as config files have them. The keys of ``besides`` are left out too.

    >>> from pixelcnn_lit import compose
    >>> changes(compose(["seed=1"]), compose(["seed=2", "name=mine", "logger=none"]))
    {'seed': ('1', '2')}
    """
    theirs, ours = flat(before.model_dump(mode="json")), flat(now.model_dump(mode="json"))
    return {
        key: (in_words(theirs.get(key)), in_words(ours.get(key)))
        for key in dict.fromkeys([*theirs, *ours])
        if key not in CHANGEABLE | besides and not key.startswith("logger.") and theirs.get(key) != ours.get(key)
    }


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as one dictionary of dotted keys."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return result
