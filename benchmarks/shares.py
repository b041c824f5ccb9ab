"""Where the time of one sampling goes: seconds by part, from clocks around the sampler's own methods.

A clock around each step of a played row costs a tenth of a microsecond or two; so the whole is a little slower than
without, and the shares count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

from rich.table import Table

from benchmarks import output
from pixelcnn_lit.density import Density
from pixelcnn_lit.sampling.conditionals import CachedConditionals
from pixelcnn_lit.sampling.draw import RowDrawer
from pixelcnn_lit.sampling.noise import GumbelNoise
from pixelcnn_lit.sampling.replay import Recording

PRODUCTS, POINTWISE, CHOICE = "matrix products of the pixels", "their ReLUs, sums and copies", "choosing the levels"
STARTS, RECORDING = "convolutions of the row starts", "the first row, recorded"
NOISE, TIES, REST = "noise", "ties settled in float64", "the rest"
PARTS = (PRODUCTS, POINTWISE, CHOICE, STARTS, NOISE, RECORDING, TIES, REST)
AROUND = {
    STARTS: (CachedConditionals, "start_row"),
    NOISE: (GumbelNoise, "next_row"),
    RECORDING: (Recording, "record"),
    TIES: (RowDrawer, "_settle"),
}


def shares(density: Density, n: int, seed: int = 0) -> dict[str, float]:
    """The seconds that each part takes of the cached sampling of ``n`` images on a CPU."""
    seconds = dict.fromkeys(PARTS, 0.0)
    named: dict[Recording, list[tuple[Callable[[], Any], str]]] = {}

    def around(part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                seconds[part] += time.perf_counter() - start

        return clocked

    def play(recording: Recording) -> None:
        if recording not in named:
            named[recording] = [(step, _part(step)) for step in recording.steps]
        clock, now = time.perf_counter, time.perf_counter()
        for step, part in named[recording]:
            step()
            before, now = now, clock()
            seconds[part] += now - before

    with ExitStack() as patched:
        for part, (owner, name) in AROUND.items():
            patched.enter_context(patch.object(owner, name, around(part, getattr(owner, name))))
        patched.enter_context(patch.object(Recording, "play", play))
        start = time.perf_counter()
        density.sample(n, seed=seed)
        seconds[REST] = time.perf_counter() - start - sum(seconds.values())
    return seconds


def _part(step: Callable[[], Any]) -> str:
    function = step.func if isinstance(step, partial) else step
    name = getattr(function, "__name__", "")
    if name in ("addmm", "addmm_"):
        return PRODUCTS
    # The noise is added with the temperature as a factor; what is drawn is divided to be an input again.
    if name in ("topk", "div") or (isinstance(step, partial) and "alpha" in step.keywords):
        return CHOICE
    return POINTWISE


def table(profiles: dict[int, dict[str, float]]) -> Table:
    """A column for each number of images: milliseconds and shares."""

    def cell(of: dict[str, float], part: str) -> str:
        return f"{1000 * of[part]:,.0f} ms {of[part] / sum(of.values()):>4.0%}"

    headings = ("", *(f"{n} image{'s' * (n > 1)}" for n in profiles))
    lines = [(part, *(cell(of, part) for of in profiles.values())) for part in PARTS]
    whole = ("all", *(f"{1000 * sum(of.values()):,.0f} ms     " for of in profiles.values()))
    return output.table("Where the time goes", headings, [*lines, whole])
