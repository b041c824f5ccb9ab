"""The command ``evaluate``: the exact likelihood of a split under a trained density."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

import numpy as np
import torch
from rich import get_console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from pixelcnn_lit.analysis import reliability
from pixelcnn_lit.analysis.batches import batches_of
from pixelcnn_lit.analysis.calibration import Calibration, calibration, with_noise
from pixelcnn_lit.analysis.calibration import table as calibration_table
from pixelcnn_lit.analysis.hidden import HiddenScore, score_hidden
from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.config import EvaluateConfig, TrainConfig
from pixelcnn_lit.config.data import apart
from pixelcnn_lit.data.classes import legend, listed, numbered
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.density import Density, even_mixture
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.orders import ManyOrders
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import write_whole


@dataclass(frozen=True)
class Scores:
    """The scores of a split: ``log_probs`` (N,) are log p(x) in nats, in the order of the split.

    With classes, ``given_class`` is the bits per dimension of p(x | y), and ``calibration`` judges the classes of
    Bayes' rule. For a mixture of scans, ``of_scans`` are the bits per dimension of each scan by its name.
    """

    log_probs: Tensor
    dimensions: int
    bits_per_dim: float
    given_class: float | None = None
    calibration: Calibration | None = None
    of_scans: dict[str, float] | None = None


def score(density: Density, data: ImageData, split: str, device: torch.device, *, labelled: bool = True) -> Scores:
    """Score the images of "train", "val" or "test" in the batches of the data module, with a progress bar.

    Without ``labelled``, the labels of the images are not classes of the density, and are not looked at.
    """
    found = []
    with batches_of(data, split, device) as batches:
        for x, _, *context in batches:
            found.append(density.component_log_probs(x, *context).cpu())
    each, dimensions = torch.cat(found), math.prod(data.split(split).images.shape[1:])  # (N, classes, orders)
    of_scans, of_classes = even_mixture(each, 1), even_mixture(each, 2)
    log_probs = even_mixture(of_scans, 1)
    scores = Scores(log_probs, dimensions, mean_bits(log_probs, dimensions))
    if isinstance(density, ManyOrders) and len(density.scans) > 1:
        bits = [mean_bits(of_scan, dimensions) for of_scan in of_scans.unbind(1)]
        scores = replace(scores, of_scans={scan.name: own for scan, own in zip(density.scans, bits, strict=True)})
    if density.n_classes is None or not labelled:
        return scores
    labels = data.split(split).labels
    given_class = mean_bits(of_classes.gather(1, labels.long()[:, None]), dimensions)
    return replace(scores, given_class=given_class, calibration=calibration(of_classes, labels))


def mean_bits(log_probs: Tensor, dimensions: int) -> float:
    """The mean bits per dimension of images (N,) with these log p(x), in nats."""
    return -float(log_probs.double().mean()) / (dimensions * math.log(2))


def match_classes(config: EvaluateConfig, density: Density, data: ImageData) -> bool:
    """Whether the labels of the images are classes of the density; they then get its numbers, and a line says so.

    Raises UserError if the data should be those of the checkpoint, and have other classes.
    """
    if density.n_classes is None:
        return False
    other = config.data.name is not None
    try:
        if other and not density.class_names:
            raise UserError(f"ckpt={config.ckpt}: holds no class names, since it is older than they are")
        found = data.class_names
        changed = data.renumber(density.class_names, density.n_classes)
    except UserError as error:
        if not other:
            hint = f"to score them as other data, without classes, add data={data.config.name}"
            raise UserError(f"{error}; {hint}") from error
        note(f"{error}; so neither the accuracy nor bits/dim given the class are told, but log p(x) alone")
        return False
    if not density.class_names:
        note(f"ckpt={config.ckpt}: older than class names; its classes are taken to be {legend(data.class_names)}")
    elif other and not data.named:
        note(f"{data.where}: its labels have no names; each is taken to be the checkpoint's class of that number")
    elif changed or other or len(found) < density.n_classes:
        note(f"classes are matched by their {matches(found, density.class_names)}")
    return True


def matches(found: Sequence[str], known: Sequence[str]) -> str:
    """Which of the model's numbers each class of the images has, in a line.

    Where the model calls its classes by their numbers, they may be digits or labels that nobody named.
    """
    if tuple(known) == numbered(len(known)):
        return f"numbers: {listed(found)}"
    return "names: " + listed([f"{known.index(name)} = {name}" for name in found])


def note(text: str) -> None:
    """Print a line that the reader of the numbers should know."""
    get_console().print(f"note: {text}", style="yellow", highlight=False, soft_wrap=True, markup=False)


def warn_of_training_images(data: ImageData, trained: TrainConfig) -> None:
    """Print a note where the images are the digits of the package, and the model may be one of MNIST's files."""
    of_files = trained.data.name == "mnist" and getattr(trained.data, "source", "") != "embedded"
    if data.source == "embedded" and of_files:
        note("these digits are training images of MNIST's files: no test of a model that was trained on those")


def refuse_endings(config: EvaluateConfig) -> None:
    """Raise UserError for files that cannot be written under these names, before any is read."""
    for key, path, end in (("out", config.out, ".npy"), ("picture", config.picture, ".png")):
        if path is not None and not path.endswith(end):
            raise UserError(f"{key}={path}: must end in {end}")
    check_outputs(config)


def evaluate(config: EvaluateConfig) -> float:
    """Evaluate a split, show a table, and on request write log p(x) per image. Returns bits per dimension.

    Raises UserError if the checkpoint or the data cannot be read, or the result is not finite.
    """
    refuse_endings(config)
    density, trained = load_with_config(config.ckpt)
    if config.beside is not None and density.context_shape is None:
        raise UserError(f"beside={config.beside}: only for a model with a context, and {config.ckpt} has none")
    if config.binarisations > 1 and not trained.data.binarize:
        raise UserError(f"binarisations={config.binarisations}: only for a model of data.binarize=dynamic")
    density.to(pick_device(config.device))
    check_outputs(config, trained=trained.data)
    data = images_of(config, trained)
    warn_of_training_images(data, trained)
    labelled = match_classes(config, density, data)
    for key, asked in (("noise", config.noise), ("picture", config.picture)):
        if asked and not labelled:
            raise UserError(f"{key}={asked}: only where the images have the classes of a class-conditional model")
    with enough_memory(f"batch_size={config.batch_size}"):
        return scored_and_shown(config, density, trained, data, labelled=labelled)


def scored_and_shown(
    config: EvaluateConfig, density: Density, trained: TrainConfig, data: ImageData, *, labelled: bool
) -> float:
    """Compute all that is asked, and show it. Raise UserError if bits are not finite, or ``beside`` does not fit."""
    scores = score(density, data, config.split, density.device, labelled=labelled)
    if not math.isfinite(scores.bits_per_dim):
        raise UserError(f"ckpt={config.ckpt}: {scores.bits_per_dim} bits/dim: its weights have gone wrong")
    shown = table(config, trained, data, scores)
    if config.binarisations > 1:
        add_binarisations(shown, [scores, *redrawn(config, trained, density)])
    if config.beside is not None:
        add_beside(shown, config.beside, scores, score_beside(config.beside, data, config.split, density.device))
    if config.occlude is not None:
        part = score_hidden(density, data, config.split, density.device, config.occlude, config.seed)
        add_hidden(shown, config.occlude, part)
    if labelled:
        shown.add_row("classes", escape(legend(data.class_names)))
    if config.out is not None:
        with write_whole(config.out) as file:
            np.save(file, scores.log_probs.numpy())
        shown.add_row("log p(x) of each, in nats", escape(config.out))
    get_console().print(shown)
    if scores.calibration is not None:
        under_noise(config, density, data, scores.calibration)
    return scores.bits_per_dim


def images_of(config: EvaluateConfig, trained: TrainConfig, binarisation: int = 0) -> ImageData:
    """The images to evaluate. Raise UserError if they cannot be read, or are too few."""
    # The names of the classes are compared later, and say more than their number.
    chosen = config.data.instead_of(trained.data, batch_size=config.batch_size, n_classes=0)
    data = ImageData(chosen, trained.seed, context=trained.context, binarisation=binarisation)
    data.setup()
    if config.n is not None:
        data.keep(config.split, config.n)
    return data


def redrawn(config: EvaluateConfig, trained: TrainConfig, density: Density) -> Iterator[Scores]:
    """The scores of the same images in each of the other binarisations."""
    for number in range(1, config.binarisations):
        yield score(density, images_of(config, trained, number), config.split, density.device, labelled=False)


def add_binarisations(shown: Table, each: Sequence[Scores]) -> None:
    """Add to the table the mean of all binarisations, and their standard deviation, of which n - 1 are free."""
    nats = [-float(scores.log_probs.double().mean()) for scores in each]
    told = f"{mean(nats):.4f}, standard deviation {stdev(nats):.4f}"
    shown.add_row(f"nats/image, mean of {len(nats)} binarisations", told)


def add_beside(shown: Table, path: str, scores: Scores, without: Scores) -> None:
    """Add to the table what the model without a context has, and what the context is worth."""
    shown.add_row(f"bits/dim of {escape(path)}", f"{without.bits_per_dim:.6f}")
    shown.add_row("by the context", f"{scores.bits_per_dim - without.bits_per_dim:+.6f}")


def add_hidden(shown: Table, occluded: str, part: HiddenScore) -> None:
    """Add to the table what is said of the hidden part."""
    seen = f"all {part.known} by each hidden one"
    if part.unused:
        seen = f"{part.unused} of {part.known} not by the hidden ones before them in the model's order"
    of_a_dimension = f"{part.bits / part.dimensions:.6f} bits/dim"
    shown.add_row(f"bits of the hidden part ({occluded})", f"{part.bits:.3f} an image, {of_a_dimension}")
    shown.add_row("known pixels are seen", seen)


def under_noise(config: EvaluateConfig, density: Density, data: ImageData, plain: Calibration) -> None:
    """Show how calibrated the classes of noisy images are, and on request draw it."""
    shares = [0, *config.noise]
    found = [plain, *(with_noise(density, data, config.split, share, density.device) for share in config.noise)]
    if config.noise:
        get_console().print(calibration_table(shares, found))
    if config.picture is not None:
        with write_whole(config.picture) as file:
            reliability.draw(shares, found).savefig(file, format="png", dpi=100)
        say(config.picture)


def score_beside(path: str, given: ImageData, split: str, device: torch.device) -> Scores:
    """The score of the same images under another checkpoint, ``beside=path``, whose images are given nothing.

    Raises UserError if that model has a context, or is of images of other levels or another shape.
    """
    density, trained = load_with_config(path, "beside")
    if density.context_shape is not None:
        raise UserError(f"beside={path}: it has context={trained.context.name}; give a model without a context")
    if (found := apart(given.config, trained.data)) is not None:
        told = f"it has data.{found.key}={found.theirs}, the images have {found.ours}"
        raise UserError(f"beside={path}: {told}; they must be equal")
    data = ImageData(given.config, trained.seed)
    data.keep(split, len(given.split(split)))
    return score(density.to(device), data, split, device, labelled=False)


def table(config: EvaluateConfig, trained: TrainConfig, data: ImageData, scores: Scores) -> Table:
    """The table of what was evaluated, and the scores."""
    rows = Table(show_header=False)
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    binarised = ", binarised" if data.config.binarize else ""
    rows.add_row("checkpoint", escape(config.ckpt))
    if config.data.name is not None:
        path = getattr(trained.data, "path", None)
        rows.add_row("trained on", escape(f"{trained.data.name} ({path})" if path else trained.data.name))
    rows.add_row("data", escape(f"{data.config.name} ({data.source}), {data.config.levels} levels{binarised}"))
    images = len(scores.log_probs)
    rows.add_row("images", f"{images:,} ({config.split})")
    context = "" if trained.context.name == "none" else f"context={trained.context.name}"
    given = context and f", given {context}"
    if scores.given_class is not None and scores.calibration is not None:
        rows.add_row(f"bits/dim, given the class{context and f' and {context}'}", f"{scores.given_class:.6f}")
        rows.add_row("accuracy of Bayes' rule", f"{scores.calibration.accuracy:.4%}")
        rows.add_row("its mean confidence", f"{scores.calibration.confidence:.4%}")
        rows.add_row("its calibration error", f"{scores.calibration.error:.4f}")
    for scan, bits in (scores.of_scans or {}).items():
        rows.add_row(f"bits/dim{given}, {scan}", f"{bits:.6f}")
    mixture = "" if scores.of_scans is None else f", mixture of {len(scores.of_scans)} scans"
    rows.add_row(f"bits/dim{given}{mixture}", f"{scores.bits_per_dim:.6f}")
    rows.add_row(f"nats/image{given}", f"{scores.bits_per_dim * scores.dimensions * math.log(2):.4f}")
    return rows
