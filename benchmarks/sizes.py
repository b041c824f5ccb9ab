"""``python -m benchmarks.sizes``: what a training step costs per pixel, from small images to large ones.

Each size gets as many images as make about the same number of pixels, random ones. Time is the median over the rounds,
memory the growth of the process at its peak, in its first step; once with all activations kept, and once with
``trainer.checkpoint_activations=true``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from rich.table import Table

from benchmarks import output
from benchmarks.arguments import Parser, count, counts
from benchmarks.bare import BareLoop
from benchmarks.machine import Peak, machine, synchronise
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.config import compose
from pixelcnn_lit.device import fast_precision
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.training.module import checkpoint_activations


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--sides", type=counts, default=[28, 64, 128, 256], help="of the square images: 28,64")
    parser.add_argument("--pixels", type=count, default=2**16, help="of a batch, about")
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", default="outputs/benchmarks/sizes.json")
    parser.add_argument("overrides", nargs="*", help="of the config, as in pixelcnn_lit.train: model.n_res=5")
    arguments = parser.parse_args(argv)
    screen = output.console()
    cases = [(side, kept) for side in arguments.sides for kept in (True, False)]
    rows = []
    for side, kept in cases:
        n = max(1, round(arguments.pixels / side**2))
        with screen.status(f"{n} images of {side} x {side}"):
            rows.append(measure(arguments.overrides, arguments.device, n, side, kept, arguments.rounds))
    result = {"machine": machine(arguments.device), "overrides": arguments.overrides, "rows": rows}
    output.save(arguments.out, result)
    screen.print(table(rows))
    screen.print(f"{result['machine']}\n{arguments.out}")


def measure(overrides: list[str], device: str, n: int, side: int, kept: bool, rounds: int) -> dict[str, Any]:
    """One size: seconds of a step and bytes at its peak, all and per pixel."""
    config = compose(overrides)
    torch.manual_seed(0)
    density = build_density(config)
    if not kept:
        checkpoint_activations(density.network)
    bare = BareLoop(density, config.optimizer, device, mixed=fast_precision(device) == "bf16-mixed")
    channels, levels = density.image_shape[0], density.levels
    x = torch.randint(0, levels, (n, channels, side, side), dtype=torch.uint8)
    with Peak(device) as peak:
        bare.step(x)
        synchronise(device)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        bare.step(x)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    pixels = n * side**2
    return {
        "side": side,
        "n": n,
        "activations": "kept" if kept else "computed again",
        "seconds": statistics.median(seconds),
        "microseconds_per_pixel": 1e6 * statistics.median(seconds) / pixels,
        "peak_bytes": peak.bytes,
        "kilobytes_per_pixel": None if peak.bytes is None else peak.bytes / pixels / 1000,
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows for a person."""
    headings = ("images", "activations", "seconds", "us a pixel", "kB a pixel")
    lines = (
        (
            f"{row['n']} of {row['side']}x{row['side']}",
            row["activations"],
            f"{row['seconds']:.3f}",
            f"{row['microseconds_per_pixel']:.1f}",
            "not measured" if row["kilobytes_per_pixel"] is None else f"{row['kilobytes_per_pixel']:.1f}",
        )
        for row in rows
    )
    return output.table("A training step by the size of the images", headings, lines)


if __name__ == "__main__":
    main()
