"""``python -m benchmarks rows``: what a pixel costs the cached sampler, from small images to large ones.

Of each image only the first rows are drawn, all of them as wide as the image. The first :data:`RECORDED` are not
counted, since operations are recorded there. The sizes come in turns; medians and ranges are those of the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from rich.table import Table

from benchmarks import output
from benchmarks.arguments import Parser, count, counts
from benchmarks.machine import machine
from benchmarks.sampling import random_context
from pixelcnn_lit import build
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.density import Density
from pixelcnn_lit.sampling.draw import SoFar

RECORDED = 8
"""Rows: as many as the longest period of a network, and more."""


class EnoughError(Exception):
    """So many rows are drawn."""


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--sides", type=counts, default=[28, 64, 128, 256], help="of the square images: 28,64")
    parser.add_argument("--n", type=counts, default=[1, 16], help="numbers of images: 1,16")
    parser.add_argument("--rows", type=count, default=8, help="that are counted")
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--out", default="outputs/benchmarks/rows.json")
    parser.add_argument("overrides", nargs="*", help="of the config, as in pixelcnn_lit.train: model=lmconv")
    arguments = parser.parse_args(argv)
    least = RECORDED + arguments.rows
    if min(arguments.sides) < least:
        parser.error(f"argument --sides: must be at least {least} for --rows={arguments.rows}, got {arguments.sides}")
    torch.manual_seed(0)
    density = build(arguments.overrides).eval()
    screen = output.console()
    cases = [(n, side) for n in arguments.n for side in arguments.sides]
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    with screen.status("sampling"):
        for _ in range(arguments.rounds):
            for n, side in cases:
                seconds[n, side].append(of_a_pixel(density, n, side, arguments.rows))
    rows = [{"n": n, "side": side, "microseconds": [1e6 * s for s in seconds[n, side]]} for n, side in cases]
    threads = torch.get_num_threads()
    result = {"machine": machine("cpu"), "threads": threads, "overrides": arguments.overrides, "rows": rows}
    output.save(arguments.out, result)
    screen.print(table(rows))
    screen.print(f"{result['machine']}; threads: {threads}\n{arguments.out}")


def of_a_pixel(density: Density, n: int, side: int, rows: int) -> float:
    """Seconds that a pixel of n images takes, the mean over so many ``rows``."""
    ends = []

    def told(so_far: SoFar) -> None:
        ends.append(time.perf_counter())
        if so_far.done == RECORDED + rows:
            raise EnoughError

    context = random_context(density, (side, side))
    with suppress(EnoughError):
        density.sample(n, seed=0, context=context, size=(side, side), progress=told)
    return (ends[RECORDED + rows] - ends[RECORDED]) / (rows * side)


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows for a person."""
    first = {row["n"]: statistics.median(row["microseconds"]) for row in reversed(rows)}
    lines = (
        (
            f"{row['n']} of {row['side']}x{row['side']}",
            f"{statistics.median(row['microseconds']):.0f}",
            f"{min(row['microseconds']):.0f}-{max(row['microseconds']):.0f}",
            f"{statistics.median(row['microseconds']) / first[row['n']]:.2f}",
        )
        for row in rows
    )
    return output.table(
        "Sampling by the size of the images", ("images", "us a pixel", "range", "times the first"), lines
    )


if __name__ == "__main__":
    main()
