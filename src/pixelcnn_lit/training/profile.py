"""Lightning's profilers, which write their reports into the run's folder."""

from __future__ import annotations

from pathlib import Path

from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler}


def make_profiler(name: str | None, folder: Path) -> Profiler | str | None:
    """The profiler "simple" or "advanced", which writes ``<folder>/fit-profile.txt``. Other names go to Lightning."""
    if name not in PROFILERS:
        return name
    profiler: Profiler = PROFILERS[name](dirpath=folder, filename="profile")
    return profiler
