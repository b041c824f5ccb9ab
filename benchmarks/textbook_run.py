"""``python -m benchmarks.textbook_run``: train the textbook's PixelCNN for so many seconds, as tutorials do.

It leaves what a run of this package leaves of figures: metrics.json, and validation.csv with a line for each
validation, so that both compare, and can be kept by ``python -m benchmarks.results``. The seconds are those of the
training steps alone. The weights that are tested are those of the best validation.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.arguments import Parser, count
from benchmarks.textbook import Textbook, TextbookPixelCNN, repeated
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.config import TrainConfig, compose
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.data.datasets import load
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.training import summary
from pixelcnn_lit.training.callbacks import add_validation
from pixelcnn_lit.training.origin import command, git_revision, now, origin

BATCH = 250
"""Images of a validation at once."""


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Train, validate, test, and write the files."""
    parser = Parser(__doc__)
    parser.add_argument("--seconds", type=count, default=120, help="of training")
    parser.add_argument("--validations", type=count, default=8, help="so many, in equal parts of the seconds")
    parser.add_argument("--val-images", type=count, help="the first N alone")
    parser.add_argument("--test-images", type=count, help="the first N alone")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument(
        "--out", default="outputs/benchmarks/textbook", help="the folder, where an older run is replaced"
    )
    parser.add_argument("overrides", nargs="*", help="of the config, as in pixelcnn_lit.train: model.n_res=5")
    told = sys.argv[1:] if argv is None else list(argv)
    arguments, revision = parser.parse_args(told), git_revision()
    folder = Path(arguments.out)
    run = TextbookRun(compose(arguments.overrides), arguments.device, arguments.val_images, arguments.test_images)
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.clear(folder)
    run.fit(arguments.seconds, arguments.validations, folder)
    made = {**origin(torch.device(arguments.device), revision), "command": command("benchmarks.textbook_run", told)}
    made["date"] = now()
    metrics = run.metrics(made)
    summary.write(folder, metrics, [])
    print(f"{folder}: {run_folder.summary(metrics.as_json())} after {metrics.steps:,} steps")


class TextbookRun:
    """The textbook's training on the images and sizes of a config."""

    def __init__(self, config: TrainConfig, device: str, val_images: int | None, test_images: int | None) -> None:
        """Raises UserError for a config of what the textbook does not have, and data that cannot be read."""
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.data = ImageDataModule(config.data, config.seed)
        self.images = {"val": self._levels("val", val_images), "test": self._levels("test", test_images)}
        self.textbook = Textbook.of(config, torch.from_numpy(load(config.data).train.images[:, 0]), device)
        self.steps, self.trained, self.seconds, self.processor_seconds = 0, 0, 0.0, 0.0
        self.best, self._best_weights = math.inf, self.textbook.network.state_dict()

    def fit(self, seconds: float, validations: int, folder: Path) -> None:
        """Train for so many seconds; after each of the equal parts validate, and write a line."""
        due, marks = 1, (time.perf_counter(), time.process_time())
        for batch in repeated(self.textbook.batches()):
            float(self.textbook.step(batch))  # waits for the device
            self.steps, self.trained = self.steps + 1, self.trained + len(batch[0])
            before, marks = marks, (time.perf_counter(), time.process_time())
            self.seconds += marks[0] - before[0]
            self.processor_seconds += marks[1] - before[1]
            if self.seconds >= due * seconds / validations:
                self._validate(folder)
                due = int(self.seconds * validations / seconds) + 1
                marks = time.perf_counter(), time.process_time()
            if due > validations:
                return

    def metrics(self, made: dict[str, Any]) -> summary.DensityMetrics:
        """The results of the best weights; ``made`` says what made them."""
        network, data = self.textbook.network, self.config.data
        network.load_state_dict(self._best_weights)
        if not math.isfinite(self.best):
            raise UserError("the textbook's loss is not finite")
        return summary.DensityMetrics(
            test=bits_per_dim(network, self.images["test"], data.levels, self.device),
            val=self.best,
            dimensions=math.prod(data.image_shape),
            model="textbook",
            context="none",
            classes=0,
            precision_gap=None,
            data=data.name,
            source=self.data.source,
            levels=data.levels,
            binarize=None,
            params=sum(int(c.mask.sum()) + c.out_channels for c in network.convolutions()),
            epochs=self.trained / len(self.textbook.digits),
            steps=self.steps,
            limits={},
            test_images=len(self.images["test"]),
            val_images=len(self.images["val"]),
            train_seconds=self.seconds,
            processor_seconds=self.processor_seconds,
            precision="32-true",
            images_per_second=self.trained / self.seconds,
            skipped_steps=0,
            best_ckpt=None,
            seed=self.config.seed,
            **made,
        )

    def _levels(self, part: str, most: int | None) -> Tensor:
        images: Tensor = self.data.split(part).images
        return images[:most]

    def _validate(self, folder: Path) -> None:
        bits = bits_per_dim(self.textbook.network, self.images["val"], self.config.data.levels, self.device)
        epochs = self.trained / len(self.textbook.digits)
        clocks = self.seconds, self.processor_seconds
        add_validation(folder / run_folder.CURVE, BITS, epochs, self.steps, bits, *clocks)
        if bits < self.best:
            self.best, self._best_weights = bits, copy.deepcopy(self.textbook.network.state_dict())


@torch.inference_mode()
def bits_per_dim(network: TextbookPixelCNN, x: Tensor, levels: int, device: str) -> float:
    """The mean over levels x (N, 1, H, W) of the textbook's -log2 p."""
    nats = 0.0
    for part in x.split(BATCH):
        batch = part.to(device)
        logits = network(batch.float() / (levels - 1))
        nats += float(F.cross_entropy(logits, batch[:, 0].long(), reduction="sum").double())
    return nats / (x.numel() * math.log(2))


if __name__ == "__main__":
    main()
