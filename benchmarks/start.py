"""``python -m benchmarks start``: seconds from the start of a process to its end, or to the first step of a training.

Each is a process of its own, in an empty folder; they come in turns. The first round is not counted: it reads
files that the system then keeps in memory.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

import pixelcnn_lit
from benchmarks import output
from benchmarks.arguments import Parser, count
from benchmarks.machine import machine
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.errors import UserError

IMPORTS = """
from pixelcnn_lit import start
with start.imports():
    import pixelcnn_lit.training.command
"""

FIRST_STEP = """
import os, sys
from pixelcnn_lit import start
with start.imports():
    from torch.optim.optimizer import register_optimizer_step_post_hook
    from pixelcnn_lit import train
register_optimizer_step_post_hook(lambda *_: os._exit(0))
train.main()
"""

ONE_STEP = (
    "experiment=quickstart",
    "trainer.max_steps=1",
    "trainer.limit_val_batches=0",
    "trainer.limit_test_batches=1",
    "name=one",
    "overwrite=true",
)

CASES = {
    "python -m pixelcnn_lit.train --help": ("-m", "pixelcnn_lit.train", "--help"),
    "python -m pixelcnn_lit.sample ckpt=pretrained:digits n=64": (
        "-m",
        "pixelcnn_lit.sample",
        "ckpt=pretrained:digits",
        "n=64",
    ),
    "the imports of a training": ("-c", IMPORTS),
    "the first step of the quick start": ("-c", FIRST_STEP, *ONE_STEP),
    "the quick start of one step, with its test and pictures": ("-m", "pixelcnn_lit.train", *ONE_STEP),
}


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--out", default="outputs/benchmarks/start.json")
    arguments = parser.parse_args(argv)
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    screen = output.console()
    with screen.status("starting"), tempfile.TemporaryDirectory() as folder:
        for _ in range(1 + arguments.rounds):
            for name, command in CASES.items():
                seconds[name].append(of_a_process(command, folder))
    counted = {name: values[1:] for name, values in seconds.items()}
    output.save(arguments.out, {"machine": machine("cpu"), "seconds": counted})
    screen.print(table(counted))
    screen.print(f"{machine('cpu')}\n{arguments.out}")


def of_a_process(arguments: Sequence[str], folder: str) -> float:
    """Seconds that Python takes with such arguments in this folder. Raises UserError with its last line if it fails."""
    path = str(Path(pixelcnn_lit.__file__).parents[1])
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    taken = time.perf_counter() - start
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise UserError(f"python {' '.join(arguments)} ended with status {done.returncode}: {''.join(last)}")
    return taken


def table(seconds: dict[str, list[float]]) -> Table:
    """The cases for a person."""
    lines = (
        (name, f"{statistics.median(each):.2f}", f"{min(each):.2f}-{max(each):.2f}") for name, each in seconds.items()
    )
    return output.table("Starting", ("", "seconds", "range"), lines)


if __name__ == "__main__":
    main()
