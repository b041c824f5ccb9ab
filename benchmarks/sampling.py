"""``python -m benchmarks.sampling``: the cached sampler beside the naive one and beside one forward pass.

The naive sampler runs the network once a pixel. It is not waited for: 20 of its forward passes, some before the
sampling of each round, are timed and multiplied. Before anything is timed, both samplers draw the same small images
with the same network; if one pixel differs, the benchmark fails.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from rich.table import Table

from benchmarks import output, shares
from benchmarks.arguments import Parser, count, counts
from benchmarks.machine import machine, synchronise
from pixelcnn_lit import build
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.density import Density

PASSES = 20
"""Of the network in all rounds together."""


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=counts, default=[1, 64, 256], help="numbers of images: 1,64")
    parser.add_argument(
        "--rounds", type=count, default=5, help=f"samplings of which the median counts, at most {PASSES}"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--profile", action="store_true", help="show where the time goes, too (CPU)")
    parser.add_argument("--out", default="outputs/benchmarks/sampling.json")
    parser.add_argument("overrides", nargs="*", help="of the config, as in pixelcnn_lit.train: model.n_res=5")
    arguments = parser.parse_args(argv)
    if arguments.rounds > PASSES:
        parser.error(f"argument --rounds: must be at most {PASSES}, got {arguments.rounds}")
    torch.manual_seed(0)
    density = build(arguments.overrides).to(arguments.device).eval()
    screen = output.console()
    if not agree(density):
        sys.exit("error: the cached and the naive sampler drew different images")
    rows = []
    for n in arguments.n:
        with screen.status(f"{n} images"):
            rows.append(measure(density, n, arguments.rounds))
    profiles = {n: shares.shares(density, n) for n in arguments.n} if arguments.profile else {}
    result = {
        "machine": machine(arguments.device),
        "network": str(arguments.overrides or "the article's"),
        "rows": rows,
        "seconds_of_parts": profiles,
    }
    output.save(arguments.out, result)
    screen.print(table(rows))
    if profiles:
        screen.print(shares.table(profiles))
    passes = in_a_round(arguments.rounds) * arguments.rounds
    screen.print(f"{result['machine']}\nnaive: {passes} of its forward passes, multiplied by the number of pixels")
    screen.print("cached and naive drew the same images in this run", style="green")
    screen.print(arguments.out)


def in_a_round(rounds: int) -> int:
    """How many passes each of the rounds takes, so that there are :data:`PASSES` at least."""
    return -(-PASSES // rounds)


def agree(density: Density) -> bool:
    """Whether both samplers draw the same small images."""
    context, size = random_context(density, (8, 8)), (8, 8) if density.context_shape else (6, 7)
    cached, naive = (
        density.sample(4, seed=0, context=context, size=size, method=method) for method in ("cached", "naive")
    )
    return torch.equal(cached, naive)


def random_context(density: Density, size: tuple[int, int]) -> torch.Tensor | None:
    """One context for all images of this size; None where there is none."""
    if density.context_shape is None:
        return None
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, *density.context_shape.of(*size), generator=generator).to(density.device)


def measure(density: Density, n: int, rounds: int) -> dict[str, Any]:
    """Seconds of the cached sampler and of one forward pass of the same batch, in turns: medians over the rounds.

    The ratios are medians of the rounds' ratios, so that what else the machine does meets both.
    """
    positions = density.image_shape[0] * density.image_shape[1] * density.image_shape[2]
    x = torch.zeros(n, *density.image_shape, dtype=torch.uint8, device=density.device)
    context = random_context(density, density.image_shape[1:])
    of_all = None if context is None else context.expand(n, -1, -1, -1)
    y = None if density.n_classes is None else 0

    def one_pass() -> Any:
        return density.network(density.normalise(x), **density.given(x.new_zeros(n).long(), of_all))

    density.sample(n, seed=0, y=y, context=context)
    passes, samplings = [], []
    with torch.inference_mode():
        one_pass()
        for seed in range(rounds):
            passes.append(statistics.mean(timed(density, one_pass) for _ in range(in_a_round(rounds))))
            draw = partial(density.sample, n, seed=seed, y=y, context=context)
            samplings.append(timed(density, draw))
    in_passes = [sampling / one_pass for sampling, one_pass in zip(samplings, passes, strict=True)]
    return {
        "n": n,
        "seconds": statistics.median(samplings),
        "fastest": min(samplings),
        "slowest": max(samplings),
        "images_per_second": n / statistics.median(samplings),
        "forward_seconds": statistics.median(passes),
        "forward_passes": statistics.median(in_passes),
        "times_naive": positions / statistics.median(in_passes),
        "least_times_naive": positions / max(in_passes),
        "greatest_times_naive": positions / min(in_passes),
    }


def timed(density: Density, work: Any) -> float:
    """The seconds that ``work()`` takes, the device's share included."""
    start = time.perf_counter()
    work()
    synchronise(density.device.type)
    return time.perf_counter() - start


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows for a person."""
    headings = ("images", "seconds", "range", "images/s", "one pass", "in passes", "times naive", "range")
    lines = (
        (
            str(row["n"]),
            f"{row['seconds']:.3f}",
            f"{row['fastest']:.3f}-{row['slowest']:.3f}",
            f"{row['images_per_second']:.1f}",
            f"{row['forward_seconds']:.4f}",
            f"{row['forward_passes']:.2f}",
            f"{row['times_naive']:,.0f}",
            f"{row['least_times_naive']:,.0f}-{row['greatest_times_naive']:,.0f}",
        )
        for row in rows
    )
    return output.table("Sampling", headings, lines)


if __name__ == "__main__":
    main()
