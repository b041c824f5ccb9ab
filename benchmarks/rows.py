"""``python -m benchmarks rows``: what a pixel costs the cached sampler, from small images to large ones.

Of each image only some rows are drawn, all of them as wide as the image: at its top, in the middle or at its end, the
rows above being given. The first :data:`RECORDED` are not counted, since operations are recorded there; nor is the pass
of the network over the given rows, which is left out: what a pixel costs does not depend on what the caches hold. The
cases come in turns; medians and ranges are those of the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from rich.table import Table

from benchmarks import output
from benchmarks.arguments import Parser, count, counts
from benchmarks.machine import machine
from benchmarks.sampling import random_context
from pixelcnn_lit import build
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.density import Density
from pixelcnn_lit.nn.cursor import Cursor

RECORDED = 4
"""Rows: the longest period of a network of the package."""

PLACES = {"top": 0.0, "middle": 0.5, "end": 1.0}
"""How much of the rows that are not drawn is above those that are."""


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--sides", type=counts, default=[28, 64, 128, 256], help="of the square images: 28,64")
    parser.add_argument("--n", type=counts, default=[1, 16], help="numbers of images: 1,16")
    parser.add_argument("--at", choices=PLACES, default="top", help="which rows are drawn")
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
                seconds[n, side].append(of_a_pixel(density, n, side, arguments.rows, arguments.at))
    rows = [{"n": n, "side": side, "microseconds": [1e6 * s for s in seconds[n, side]]} for n, side in cases]
    threads = torch.get_num_threads()
    result = {"machine": machine("cpu"), "threads": threads, "overrides": arguments.overrides, "at": arguments.at}
    output.save(arguments.out, result | {"rows": rows})
    screen.print(table(rows, arguments.at))
    screen.print(f"{result['machine']}; threads: {threads}\n{arguments.out}")


def of_a_pixel(density: Density, n: int, side: int, rows: int, at: str) -> float:
    """Seconds that a pixel of n images takes, the mean over so many ``rows``."""
    first = round(PLACES[at] * (side - RECORDED - rows))
    known = torch.ones(side, side, dtype=torch.bool)
    known[first : first + RECORDED + rows] = False
    x = torch.zeros(n, density.image_shape[0], side, side, dtype=torch.uint8)
    ends: list[float] = []
    raster = density.raster()  # of a mixture, complete would first weigh its parts by all that is known
    given: dict[str, Any] = {
        "y": None if raster.n_classes is None else 0,
        "context": random_context(density, (side, side)),
    }
    with patch.object(Cursor, "pass_over", lambda at, network, known: at._skip(known.shape[2])):
        raster.complete(x, known, 0, **given, progress=lambda so_far: ends.append(time.perf_counter()))
    return (ends[RECORDED + rows] - ends[RECORDED]) / (rows * side)


def table(rows: list[dict[str, Any]], at: str) -> Table:
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
        f"Sampling by the size of the images, rows: {at}", ("images", "us a pixel", "range", "times the first"), lines
    )


if __name__ == "__main__":
    main()
