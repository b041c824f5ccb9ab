"""``python -m benchmarks.quality``: bits per dimension over seconds, of this package's training and the textbook's.

First ``python -m pixelcnn_lit.train`` trains as the config says, to its end. Then ``python -m benchmarks.textbook_run``
trains a network of the same sizes on the same images for as many seconds. Each is a process of its own, and they follow
each other: let the machine do nothing else. Both validate on the same images, and test the weights of their best
validation. The seconds are those of the training steps alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import output
from benchmarks.arguments import Parser
from benchmarks.curves import draw, of_runs
from benchmarks.kept import Kept
from benchmarks.machine import threads
from benchmarks.textbook import check
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting.collect import validations
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import write_whole
from pixelcnn_lit.sweeps.jobs import Job

DEFAULTS = ["experiment=digits_pixelcnn"]


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Train both, show a table, draw the curves."""
    parser = Parser(__doc__)
    parser.add_argument("--out", default="outputs/benchmarks/quality", help="the folder of both runs")
    parser.add_argument("overrides", nargs="*", help=f"of the config; without any: {' '.join(DEFAULTS)}")
    arguments = parser.parse_args(argv)
    overrides, out = arguments.overrides or DEFAULTS, Path(arguments.out).absolute()
    config = compose(overrides)
    check(config)
    if config.trainer.limit_test_batches == 0:
        raise UserError("trainer.limit_test_batches=0: both are compared by their test images; leave it out")
    ours = trained(Job(out / "ours", (*overrides, "overwrite=true")).command(), out / "ours")
    if not ours.curve:
        raise UserError("trainer: there was no validation; a curve needs some, as by trainer.val_check_interval")
    theirs = trained(beside(ours.metrics, len(ours.curve), overrides, out / "textbook"), out / "textbook")
    curves = of_runs([ours, theirs])
    with write_whole(out / "quality.svg") as file:
        file.write(draw(curves).encode())
    screen = output.console()
    screen.print(table([ours, theirs]))
    screen.print(verdict(ours, theirs))
    screen.print(f"{ours.metrics['machine']}, {threads(ours.metrics['threads'])}; {out / 'quality.svg'}")


def beside(ours: Mapping[str, Any], validated: int, overrides: Sequence[str], folder: Path) -> list[str]:
    """The command of the textbook in the same seconds, validated as often and on the same images."""
    return [
        *(sys.executable, "-m", "benchmarks.textbook_run", f"--seconds={max(1, round(ours['train_seconds']))}"),
        *(f"--validations={validated}", f"--val-images={ours['val_images']}", f"--test-images={ours['test_images']}"),
        *(f"--out={folder}", *overrides),
    ]


def trained(command: Sequence[str], folder: Path) -> Kept:
    """The run that a command left in a folder. Ends this process, with its status, where it failed; it said why."""
    here = str(Path(__file__).parents[1])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False)
    metrics = run_folder.finished(folder)
    if ended.returncode or metrics is None:
        sys.exit(ended.returncode or 1)
    return Kept(folder.name, metrics, BITS, validations(folder))


def table(runs: Sequence[Kept]) -> Table:
    """Both runs for a person."""
    headings = ("", "parameters", "steps", "seconds", "processor seconds", "validation", "test bits/dim")
    lines = (
        (
            run.name,
            f"{run.metrics['params']:,}",
            f"{run.metrics['steps']:,}",
            f"{run.metrics['train_seconds']:,.0f}",
            f"{run.metrics['processor_seconds']:,.0f}",
            f"{run.metrics[BITS.val]:.4f}",
            f"{run.metrics[BITS.test]:.4f}",
        )
        for run in runs
    )
    return output.table("In the same seconds, one after the other", headings, lines)


def verdict(ours: Kept, theirs: Kept) -> str:
    """After how many seconds ours was as good as the textbook became, in a sentence."""
    best = min(theirs.curve, key=lambda row: row[BITS.name])
    said = f"the textbook's best validation, {best[BITS.name]:.4f} bits/dim, came after {best['seconds']:,.0f} seconds"
    there = next((row["seconds"] for row in ours.curve if row[BITS.name] <= best[BITS.name]), None)
    if there is None:
        return f"{said}; ours never was as good"
    return f"{said}; ours was as good at its validation after {there:,.0f} seconds"


if __name__ == "__main__":
    main()
