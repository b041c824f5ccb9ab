"""Which class ``sample label=`` asks for."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.config import SampleConfig, TrainConfig
from pixelcnn_lit.data.classes import legend, listed, numbered
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say


def classes_to_draw(config: SampleConfig, density: Density, n: int) -> Tensor | None:
    """The class of each of n images, (n,), or for label=each of about n. None if the model has none or draws them.

    Raises UserError for a wrong label.
    """
    label, n_classes = config.label, density.n_classes
    if label is None:
        return None
    if n_classes is None:
        raise UserError(
            f"label={label}: no classes in this model; train one with model.n_classes='${{data.n_classes}}'"
        )
    names = density.class_names or numbered(n_classes)
    if label == "each":
        if config.completes:
            raise UserError("label=each: completions have the class that label gives, or the one that the model picks")
        if density.context_shape is not None:
            raise UserError("label=each: a model with a context has one row for each given picture; give one label")
        y = pictures.class_rows(n_classes, n)
        if y is None:
            raise UserError(f"n={n}: label=each needs at least one image for each of the {n_classes} classes")
        say(f"one row for each class, from the top: {legend(names)}")
        return y
    number = class_number(label, density)
    if names[number] != str(number):
        say(f"label={label}: class {number} of 0 to {n_classes - 1}, {names[number]}")
    return torch.full((n,), number)


def grid_of(config: SampleConfig, x: Tensor, density: Density, levels: int) -> pictures.Picture:
    """Samples x in a grid, enlarged as the config asks; with label=each a row for each class, with its name."""
    rows = density.n_classes if config.label == "each" else None
    columns = max(8, len(x) // rows) if rows else pictures.columns_of(len(x))
    scale = config.scale or pictures.default_scale(x.shape[3], columns)
    return pictures.sample_grid(x, levels, scale, rows, density.class_names if rows else ())


def tell_old_order(config: SampleConfig, density: Density, trained: TrainConfig) -> None:
    """Say in which order the classes are, if a number is asked for and today's order of folders is another one."""
    classes = density.n_classes is not None and config.label is not None
    if classes and not density.class_names and trained.data.name == "images":
        say(
            f"note: {config.ckpt} holds no class names: it is older than they are, and its classes are the folders in "
            "the order of their names as text, where 10 comes before 2"
        )


def class_number(label: str | int, density: Density) -> int:
    """The number of a class by its name or, if no class has that name, by its number. Raise UserError if none fits."""
    assert density.n_classes is not None
    names, last = density.class_names, density.n_classes - 1
    if str(label) in names:
        return names.index(str(label))
    if isinstance(label, int) and label <= last:
        return label
    if not names and isinstance(label, str):
        raise UserError(f"label={label}: the checkpoint holds no class names; must be from 0 to {last}, or each")
    by_name = "" if names in ((), numbered(len(names))) else f"one of {listed(names)}, or "
    raise UserError(f"label={label}: must be {by_name}from 0 to {last}, or each")
