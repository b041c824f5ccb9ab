"""``python -m benchmarks workers``: one thread, several threads and several processes draw the same images, in turns.

The seconds of processes have their start and end in them, as those of the command ``sample`` have. If one pixel
differs, the benchmark fails. On Linux.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from benchmarks import output
from benchmarks.arguments import Parser, count, counts
from benchmarks.machine import machine
from pixelcnn_lit import build
from pixelcnn_lit.analysis.progress import parts
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.density import Density
from pixelcnn_lit.sampling.draw import Progress
from pixelcnn_lit.sampling.workers import Crew

WAYS = ("one thread", "threads", "processes")


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=counts, default=[64, 256, 1024], help="numbers of images: 64,256")
    parser.add_argument("--workers", type=count, default=torch.get_num_threads(), help="threads, and processes")
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--out", default="outputs/benchmarks/workers.json")
    parser.add_argument("overrides", nargs="*", help="of the config, as in pixelcnn_lit.train: model.n_res=5")
    arguments = parser.parse_args(argv)
    if min(arguments.n) < arguments.workers:
        parser.error(f"argument --n: must be at least --workers={arguments.workers}, got {min(arguments.n)}")
    torch.manual_seed(0)
    density = build(arguments.overrides).eval()
    density.sample(1, seed=0)
    screen = output.console()
    rows = []
    for n in arguments.n:
        with screen.status(f"{n} images"):
            rows.append(measure(density, n, arguments.workers, arguments.rounds))
    result = {"machine": machine("cpu"), "workers": arguments.workers, "overrides": arguments.overrides, "rows": rows}
    output.save(arguments.out, result)
    screen.print(table(rows, arguments.workers))
    screen.print(f"{result['machine']}\n{arguments.out}")


def measure(density: Density, n: int, workers: int, rounds: int) -> dict[str, Any]:
    """The seconds of each way to draw n images, one for each round. Ends the program if their images differ."""
    threads = torch.get_num_threads()
    ways: dict[str, Callable[[int], NDArray[Any]]] = {
        "one thread": lambda seed: by_threads(density, n, seed, 1),
        "threads": lambda seed: by_threads(density, n, seed, workers),
        "processes": lambda seed: by_processes(density, n, seed, workers),
    }
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        for seed in range(rounds):
            drawn = []
            for way in WAYS:
                start = time.perf_counter()
                drawn.append(ways[way](seed))
                seconds[way].append(time.perf_counter() - start)
            if not all(np.array_equal(drawn[0], images) for images in drawn):
                sys.exit("error: threads and processes drew different images")
    finally:
        torch.set_num_threads(threads)
    return {"n": n, "seconds": seconds}


def by_threads(density: Density, n: int, seed: int, threads: int) -> NDArray[Any]:
    """n images drawn by this process."""
    torch.set_num_threads(threads)
    return density.sample(n, seed=seed).numpy()


def by_processes(density: Density, n: int, seed: int, workers: int) -> NDArray[Any]:
    """The same, by so many processes of one thread."""

    def draw(part: slice, tell: Progress) -> NDArray[Any]:
        return density.sample(part.stop - part.start, seed=seed, first=part.start, progress=tell).numpy()

    whole = np.empty((n, *density.image_shape), np.uint8)
    with Crew(workers, draw) as crew:
        for part, images in crew.results(parts(n, workers, n), lambda row: None):
            whole[part] = images
    return whole


def table(rows: list[dict[str, Any]], workers: int) -> Table:
    """The rows for a person. The ratio is the median of those of the rounds."""
    headings = (
        "images",
        "one thread",
        f"threads: {workers}",
        f"processes: {workers}",
        "one thread / processes",
        "range",
    )
    lines = []
    for row in rows:
        seconds = row["seconds"]
        ratios = [one / many for one, many in zip(seconds["one thread"], seconds["processes"], strict=True)]
        cells = (f"{statistics.median(seconds[way]):.2f} s" for way in WAYS)
        lines.append(
            (str(row["n"]), *cells, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}")
        )
    return output.table("Sampling by several processes", headings, lines)


if __name__ == "__main__":
    main()
