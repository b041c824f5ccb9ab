"""Where the time of a training goes: Lightning's profilers, whose reports are files of the run."""

from __future__ import annotations

from pathlib import Path

from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler}


def make_profiler(name: str | None, folder: Path) -> Profiler | str | None:
    """The profiler of a name, which writes ``<folder>/fit-profile.txt``; other names are left to Lightning."""
    if name not in PROFILERS:
        return name
    profiler: Profiler = PROFILERS[name](dirpath=folder, filename="profile")
    return profiler
