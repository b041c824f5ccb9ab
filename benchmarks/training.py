"""``python -m benchmarks.training``: training as this package does it beside the textbook way, in one process.

Ours is ``trainer.fit`` as a run calls it, with progress bar, metrics, TensorBoard and checkpoints. A bare loop over the
same model and data says what these cost. Before anything is timed, both ways take the same ten steps from the same
parameters in float32; if their losses differ by more than 1e-4 of their size, the benchmark fails.

A round times each contender once, so that what else the machine does meets all of them. Medians over the rounds; the
ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor

from benchmarks import output
from benchmarks.arguments import Parser, count
from benchmarks.bare import BareLoop
from benchmarks.convolutions import seconds_alone
from benchmarks.machine import Peak, machine, synchronise
from benchmarks.textbook import Textbook, check, repeated
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.config import TrainConfig, compose
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.data.datasets import load
from pixelcnn_lit.data.images import BatchIndices
from pixelcnn_lit.density import Density
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.training.base_run import trainer_options
from pixelcnn_lit.training.run import Run
from pixelcnn_lit.training.summary import quiet_lightning

DEFAULTS = ["data=digits", "data.batch_size=32", "optimizer=adam_exponential", "trainer.precision=auto"]
FLOAT32 = "trainer.precision=32-true"
SAME_STEPS, TOLERANCE = 10, 1e-4
WARM_UP = 2
"""Steps of each timing that are not counted."""


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Check, measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--steps", type=count, default=6, help="so many steps are timed in each round")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", default="outputs/benchmarks/training.json")
    parser.add_argument("overrides", nargs="*", help=f"of the config, after {' '.join(DEFAULTS)}")
    arguments = parser.parse_args(argv)
    quiet_lightning()
    trainer = "auto" if arguments.device == "cpu" else "gpu"
    bench = Bench(
        [*DEFAULTS, f"trainer={trainer}", f"trainer.accelerator={arguments.device}", *arguments.overrides],
        arguments.device,
        arguments.steps,
    )
    screen = output.console()
    with screen.status("the same ten steps"):
        losses = bench.same_steps()
    worst = max(abs(ours / theirs - 1) for ours, theirs in losses)
    if worst > TOLERANCE:
        sys.exit(f"error: the losses of the same {SAME_STEPS} steps differ by {worst:.1e} of their size: {losses}")
    rounds: list[dict[str, Any]] = []
    for number in range(arguments.rounds):
        with screen.status(f"round {number + 1} of {arguments.rounds}"):
            rounds.append(bench.round())
    result = {
        "machine": machine(arguments.device),
        "config": bench.overrides,
        "losses": losses,
        "rows": [summary(rounds, name, bench) for name in bench.contenders],
        "overhead": statistics.median(r["trainer.fit"]["seconds"] / r["bare loop"]["seconds"] - 1 for r in rounds),
        "matmul_flops": {key: statistics.median(r["matmul"][key] for r in rounds) for key in rounds[0]["matmul"]},
        "rounds": rounds,
    }
    output.save(arguments.out, result)
    screen.print(table(result["rows"], bench.config))
    screen.print(f"{result['machine']}; {' '.join(bench.overrides)}")
    for precision, flops in result["matmul_flops"].items():
        screen.print(f"a large matrix product in {precision}: {flops / 1e9:,.0f} GFLOP/s")
    screen.print(f"trainer.fit over the bare loop: {result['overhead']:+.1%} of its time")
    screen.print(f"the same {SAME_STEPS} steps in float32: losses equal to {worst:.1e} of their size", style="green")
    screen.print(arguments.out)


class Bench:
    """The contenders, their data and their counts."""

    def __init__(self, overrides: list[str], device: str, steps: int) -> None:
        self.overrides, self.device, self.steps = overrides, device, steps
        self.config = compose(overrides)
        check(self.config)
        torch.manual_seed(0)
        self.density = build_density(self.config)
        self.data = ImageDataModule(self.config.data, self.config.seed)
        self.data.setup()
        self.pixels = torch.from_numpy(load(self.config.data).train.images[:, 0])
        # A weight is used once a pixel: forward, for the gradient of its input and for its own; the image needs none.
        weights = [layer.weight.numel() for layer in self._layers(self.density)]
        self.flops = 2 * (3 * sum(weights) - weights[0]) * self.pixels[0].numel()
        self.mixed = "bf16" in self._precision()
        self.contenders: dict[str, Callable[[], float]] = {"textbook": self._textbook}
        if self.mixed:
            self.contenders["trainer.fit in float32"] = lambda: self._fit([*overrides, FLOAT32])
        self.contenders["trainer.fit"] = lambda: self._fit(overrides)
        self.contenders["bare loop"] = self._bare
        if self.mixed:
            self.contenders["our convolutions alone in float32"] = lambda: self._convolutions_alone(mixed=False)
        self.contenders["our convolutions alone"] = lambda: self._convolutions_alone(self.mixed)

    def round(self) -> dict[str, Any]:
        """Each contender once: seconds of the timed steps and bytes of memory at the peak."""
        used = {name: dtype for name, dtype in DTYPES.items() if name == "float32" or self.mixed}
        results: dict[str, Any] = {"matmul": {name: matmul_flops(dtype, self.device) for name, dtype in used.items()}}
        for name, contender in self.contenders.items():
            with Peak(self.device) as peak:
                seconds = contender()
            results[name] = {"seconds": seconds, "peak_bytes": peak.bytes}
        return results

    def same_steps(self) -> list[tuple[float, float]]:
        """The losses of the same ten steps, (ours, the textbook's)."""
        order = BatchIndices(len(self.pixels), self.config.data.batch_size, self.config.seed).order()
        textbook = self._make_textbook()
        batches = islice(textbook.batches(order.tolist()), SAME_STEPS)
        theirs = [float(textbook.step(batch)) for batch in batches]
        clock = Clock(self.device, SAME_STEPS)
        self._run_fit([*self.overrides, FLOAT32], clock)
        return list(zip([float(loss) for loss in clock.losses], theirs, strict=True))

    def _precision(self) -> str:
        return str(trainer_options(self.config, Path())["precision"])

    def _textbook(self) -> float:
        textbook = self._make_textbook()
        return self._timed((textbook.step, batch) for batch in repeated(textbook.batches()))

    def _bare(self) -> float:
        bare = BareLoop(self._copy(), self.config.optimizer, self.device, self.mixed)
        return self._timed((bare.step, batch[0]) for batch in repeated(self.data.train_dataloader()))

    def _convolutions_alone(self, mixed: bool) -> float:
        x = next(iter(self.data.train_dataloader()))[0].to(self.device)
        return self.steps * seconds_alone(self._copy().to(self.device), x, mixed)

    def _fit(self, overrides: list[str]) -> float:
        clock = Clock(self.device, WARM_UP + self.steps)
        self._run_fit(overrides, clock)
        return clock.seconds

    def _run_fit(self, overrides: list[str], clock: Clock) -> None:
        config = compose([*overrides, f"trainer.max_steps={clock.steps}", "trainer.limit_val_batches=0"])
        with contextlib.redirect_stdout(Unwatched()), tempfile.TemporaryDirectory() as folder:
            run = Run(config, folder, callbacks=[clock])
            run.density.load_state_dict(self.density.state_dict())
            run.fit()

    def _copy(self) -> Density:
        density = build_density(self.config)
        density.load_state_dict(self.density.state_dict())
        return density

    def _make_textbook(self) -> Textbook:
        textbook = Textbook.of(self.config, self.pixels, self.device)
        for ours, theirs in zip(self._layers(self.density), textbook.network.convolutions(), strict=True):
            kernel = ours.kernel().detach()
            theirs.weight.data.copy_(F.pad(kernel, (0, 0, 0, ours.above)))
            theirs.bias.data.copy_(ours.bias.detach())  # type: ignore[union-attr]
        return textbook

    @staticmethod
    def _layers(density: Density) -> list[CausalConv2d]:
        return [module for module in density.modules() if isinstance(module, CausalConv2d)]

    def _timed(self, steps: Any) -> float:
        start = 0.0
        for number, (step, batch) in enumerate(islice(steps, WARM_UP + self.steps)):
            step(batch)
            if number + 1 == WARM_UP:
                synchronise(self.device)
                start = time.perf_counter()
        synchronise(self.device)
        return time.perf_counter() - start


class Clock(pl.Callback):
    """Times the steps of a fit after the first, without waiting for the device in between; keeps the losses."""

    def __init__(self, device: str, steps: int) -> None:
        self.device, self.steps = device, steps
        self.losses: list[Tensor] = []
        self.seconds = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"].detach())
        if len(self.losses) == WARM_UP:
            synchronise(self.device)
            self.seconds = -time.perf_counter()
        elif len(self.losses) == self.steps:
            synchronise(self.device)
            self.seconds += time.perf_counter()


class Unwatched(io.StringIO):
    """A terminal that nobody looks at: the progress bar is drawn in full."""

    def isatty(self) -> bool:
        return True


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def matmul_flops(dtype: torch.dtype, device: str) -> float:
    """What a large matrix product reaches on this machine: FLOP/s, the best of four."""
    size = 2048 if device == "cpu" else 8192
    a = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(5):
        synchronise(device)
        start = time.perf_counter()
        a @ a
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def summary(rounds: list[dict[str, Any]], name: str, bench: Bench) -> dict[str, Any]:
    """A contender over all rounds."""
    images = bench.steps * bench.config.data.batch_size
    speeds = [images / r[name]["seconds"] for r in rounds]
    ratios = [r["textbook"]["seconds"] / r[name]["seconds"] for r in rounds]
    dtype = "float32" if name == "textbook" or "float32" in name or not bench.mixed else "bfloat16"
    achieved = [bench.flops * s / r["matmul"][dtype] for s, r in zip(speeds, rounds, strict=True)]
    peaks = [r[name]["peak_bytes"] for r in rounds if r[name]["peak_bytes"] is not None]
    return {
        "name": name,
        "precision": dtype,
        "images_per_second": statistics.median(speeds),
        "slowest": min(speeds),
        "fastest": max(speeds),
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "greatest_ratio": max(ratios),
        "gflops": statistics.median(speeds) * bench.flops / 1e9,
        "share_of_matmul": statistics.median(achieved),
        "peak_bytes": max(peaks) if peaks else None,
    }


def table(rows: list[dict[str, Any]], config: TrainConfig) -> Table:
    """The rows for a person."""
    headings = ("", "", "images/s", "range", "ratio", "range", "GFLOP/s", "of matmul", "memory")
    lines = (
        (
            row["name"],
            row["precision"],
            f"{row['images_per_second']:.1f}",
            f"{row['slowest']:.1f}-{row['fastest']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['least_ratio']:.2f}-{row['greatest_ratio']:.2f}",
            f"{row['gflops']:.0f}",
            f"{row['share_of_matmul']:.0%}",
            "not measured" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f} MiB",
        )
        for row in rows
    )
    return output.table(f"Training, batches of {config.data.batch_size}", headings, lines)


if __name__ == "__main__":
    main()
