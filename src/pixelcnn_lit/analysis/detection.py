"""The command ``score``: how strange other images are to a trained density, beside its own test images."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich import get_console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from pixelcnn_lit.analysis import histograms, scores
from pixelcnn_lit.analysis.evaluation import note, warn_of_training_images
from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.analysis.separation import Separation, separation
from pixelcnn_lit.config import ScoreConfig, TrainConfig
from pixelcnn_lit.config.data import apart
from pixelcnn_lit.data.images import PARTS, ImageData
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.progress import tracked
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import write_whole

HISTOGRAMS = ".png"
"""The ending of the picture beside the scores."""


@dataclass(frozen=True)
class Images:
    """Levels (N, C, H, W) of one side; ``places`` are the split of each image, its number there, and its file or ''."""

    name: str
    what: str
    levels: Tensor
    places: list[tuple[str, int, str]]


@dataclass(frozen=True)
class Score:
    """A score of the own images and of the others, ``sides``, with a value for each ``together`` images."""

    name: str
    unit: str
    sides: Sequence[Tensor]
    together: int = 1

    @property
    def own(self) -> Tensor:
        """Of the own images."""
        return self.sides[0]

    @property
    def other(self) -> Tensor:
        """Of the others."""
        return self.sides[1]

    @property
    def title(self) -> str:
        """Its name, and how many images it judges together."""
        return self.name if self.together == 1 else f"{self.name} of {self.together} together"

    @property
    def separation(self) -> Separation:
        """How well it tells the two apart."""
        return separation(self.own, self.other)


@dataclass(frozen=True)
class Models:
    """The density that is asked, a background model, and more densities that make an ensemble with the first one."""

    density: Density
    background: Density | None
    ensemble: list[Density]


LogProbs = Callable[[Density, Images], Tensor]
"""Gives log p(x) of each image in nats, (N,) in float64."""


def detect(config: ScoreConfig) -> None:
    """Write the scores of each image and their histograms, and show how well each score tells the two sides apart.

    Raises UserError if a checkpoint or the data cannot be read or do not fit, or a likelihood is not finite.
    """
    refuse_contradictions(config)
    density, trained = load_with_config(config.ckpt)
    refuse_context("ckpt", config.ckpt, trained)
    background = None if config.background is None else fitting(config.background, "background", trained)
    models = Models(density, background, [fitting(path, "ensemble", trained) for path in config.ensemble])
    check_outputs(config, HISTOGRAMS, trained=trained.data)
    sides = three_sides(config, trained)
    device = pick_device(config.device)

    def log_probs(model: Density, images: Images) -> Tensor:
        return _log_probs(model.to(device), images, config.batch_size, device)

    with enough_memory(f"batch_size={config.batch_size}"):
        found = all_scores(models, sides, config.typicality_batch, log_probs)
    own, other, _ = sides
    picture = Path(config.out).with_suffix(HISTOGRAMS)
    write_csv(config.out, found, (own, other))
    with write_whole(picture) as file:
        panels = [(score.title, score.unit, score.own, score.other) for score in found]
        histograms.draw(panels, f"own: {own.what}", f"other: {other.what}").savefig(file, format="png", dpi=100)
    report(config, found, sides)
    say(f"{config.out} and the histograms, {picture}")


def refuse_contradictions(config: ScoreConfig) -> None:
    """Raise UserError for settings that contradict each other, before any file is read."""
    if not config.out.endswith(".csv"):
        raise UserError(f"out={config.out}: must end in .csv")
    check_outputs(config, HISTOGRAMS)
    if config.data.name is None:
        given = "data=null: name the images to score"
        raise UserError(f"{given}: data=mnist, data=npz data.path=FILE, data=images data.path=FOLDER, ...")
    paths = [Path(path).resolve() for path in (config.ckpt, *config.ensemble)]
    for path in config.ensemble:
        if paths.count(Path(path).resolve()) > 1:
            raise UserError(f"ensemble: {path} is named twice; ckpt is one of the ensemble without being named again")


def refuse_context(key: str, path: str, trained: TrainConfig) -> None:
    """Raise UserError for a model whose images are given something: it says how likely they are given that alone."""
    if trained.context.name != "none":
        raise UserError(f"{key}={path}: has context={trained.context.name}; only models without a context give p(x)")


def fitting(path: str, key: str, trained: TrainConfig) -> Density:
    """The density of another checkpoint. Raise UserError if its bits do not compare, or it has a context."""
    density, other = load_with_config(path, key)
    refuse_context(key, path, other)
    if (found := apart(trained.data, other.data, of_any_size=True)) is not None:
        told = f"it has data.{found.key}={found.theirs}, ckpt has {found.ours}"
        raise UserError(f"{key}={path}: {told}; only bits of the same can be compared")
    return density


def three_sides(config: ScoreConfig, trained: TrainConfig) -> tuple[Images, Images, Images]:
    """The checkpoint's own test images, the other images, and training images. Raise UserError if there are too few."""
    data = ImageData(config.own.moved(trained.data, n_classes=0), trained.seed)
    theirs = ImageData(config.data.instead_of(trained.data, n_classes=0), trained.seed)
    read_own(data)
    warn_of_training_images(data, trained)
    own = images_of("own", data, ("test",), config.n)
    other = images_of("other", theirs, PARTS if config.split == "all" else (config.split,), config.n)
    for side in (own, other):
        if len(side.levels) < config.typicality_batch:
            found = f"{len(side.levels)} {side.name} images"
            raise UserError(f"typicality_batch={config.typicality_batch}: more than the {found}")
    return own, other, images_of("training", data, ("train",), config.n)


def read_own(data: ImageData) -> None:
    """Read the checkpoint's own images. What UserError says of their keys is of ``own.``, not of ``data.``."""
    try:
        data.setup()
    except UserError as error:
        raise UserError(re.sub(r"\bdata\.(?=(dir|source|path)=)", "own.", str(error))) from error


def images_of(name: str, data: ImageData, parts: Sequence[str], n: int | None) -> Images:
    """The first n images of some splits, one after the other; all of them for None."""
    splits = [data.split(part).images for part in parts]
    levels = torch.cat(splits)
    total, levels = len(levels), levels[:n]
    places = [
        (part, number, file)
        for part, split in zip(parts, splits, strict=True)
        for number, file in enumerate(data.files(part) or [""] * len(split))
    ]
    count = f"{total:,}" if len(levels) == total else f"the first {len(levels):,} of {total:,}"
    where = f"{data.config.name} ({data.source})"
    return Images(name, f"{where}, {' + '.join(parts)}, {count} images", levels, places[: len(levels)])


def all_scores(models: Models, sides: tuple[Images, Images, Images], together: int, log_probs: LogProbs) -> list[Score]:
    """The scores of the first two sides; the third one are training images, whose mean surprise is the usual one."""
    two = sides[:2]
    mine = [log_probs(models.density, side) for side in two]
    entropy = -float(log_probs(models.density, sides[2]).mean())
    lengths = [scores.png_bits(side.levels) for side in two]
    found = [
        Score("surprise", "nats", [*map(scores.surprise, mine)]),
        Score("atypicality", "nats", [scores.atypicality(each, entropy, together) for each in mine], together),
        Score("input_complexity", "bits", [*map(scores.input_complexity, mine, lengths)]),
    ]
    if models.background is not None:
        theirs = [log_probs(models.background, side) for side in two]
        found.append(Score("likelihood_ratio", "nats", [*map(scores.likelihood_ratio, mine, theirs)]))
    if models.ensemble:
        rest = [[log_probs(model, side) for model in models.ensemble] for side in two]
        each = [torch.stack([first, *others]) for first, others in zip(mine, rest, strict=True)]
        found.append(Score("waic", "nats", [*map(scores.waic, each)]))
    return found


def _log_probs(density: Density, images: Images, batch_size: int, device: torch.device) -> Tensor:
    parts, found = images.levels.split(batch_size), []
    with torch.inference_mode(), tracked(parts, f"{images.name} images", len(images.levels), size=len) as batches:
        for x in batches:
            found.append(density.log_prob(x.to(device)).cpu().double())
    joined = torch.cat(found)
    if not joined.isfinite().all():
        raise UserError(f"{images.what}: log p(x) is not finite for some of them: the weights have gone wrong")
    return joined


def write_csv(path: str, found: Sequence[Score], sides: tuple[Images, Images]) -> None:
    """Write a line for each image: its side, split, number there, file and scores. A batch has one atypicality."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["images", "split", "number", "file", *(f"{score.name} ({score.unit})" for score in found)])
    for side, values in ((sides[0], [s.own for s in found]), (sides[1], [s.other for s in found])):
        columns = [
            [*value.repeat_interleave(score.together).tolist(), *[None] * (len(side.places) % score.together)]
            for score, value in zip(found, values, strict=True)
        ]
        for place, *row in zip(side.places, *columns, strict=True):
            writer.writerow([side.name, *place, *("" if value is None else f"{value:.4f}" for value in row)])
    with write_whole(path) as file:
        file.write(text.getvalue().encode())


def report(config: ScoreConfig, found: Sequence[Score], sides: tuple[Images, Images, Images]) -> None:
    """Print what was compared, and a line for each score."""
    what = Table(show_header=False)
    what.add_column(style="bold")
    what.add_column(overflow="fold")
    what.add_row("checkpoint", escape(config.ckpt))
    for side, values in zip(sides[:2], (found[0].own, found[0].other), strict=True):
        bits = float(values.mean()) / (math.prod(side.levels.shape[1:]) * math.log(2))
        what.add_row(f"{side.name} images", escape(f"{side.what}: {bits:.4f} bits/dim"))
    what.add_row("typical", escape(f"the mean surprise of {sides[2].what}"))
    rows = Table("score", "own mean", "other mean", "unit", "AUROC", "FPR at 95%")
    for score in found:
        means = [f"{float(values.mean()):,.2f}" for values in (score.own, score.other)]
        told = score.separation
        rows.add_row(score.title, *means, score.unit, f"{told.auroc:.4f}", f"{told.passed:.4f}")
    get_console().print(what)
    get_console().print(rows)
    if torch.equal(sides[0].levels, sides[1].levels):
        note("the other images are the model's own, pixel by pixel: there is nothing to tell apart")
    if found[0].separation.auroc < 0.5:
        share = f"{1 - found[0].separation.auroc:.0%} of the pairs"
        note(f"in {share} the other image is more probable than its own: the likelihood alone does not tell them")
