"""The command ``sample``: draws or completes images from a checkpoint, and writes a picture and the levels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich import get_console
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.progress import batches
from pixelcnn_lit.config import SampleConfig, TrainConfig
from pixelcnn_lit.data.classes import legend, listed, numbered
from pixelcnn_lit.data.contexts import context_of
from pixelcnn_lit.data.datamodule import OWN, ImageDataModule, as_levels
from pixelcnn_lit.data.folder import MODES, decode
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.masks import half_known, read_mask, unusable
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import check_file, write_whole

SAMPLES, GIVEN = 64, 8
"""How many images are drawn, or pictures of the split are given, by default."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def sample(config: SampleConfig) -> None:
    """Write a grid of samples or completions as a PNG, and their levels beside it as .npy."""
    refuse_contradictions(config)
    density, trained = load_with_config(config.ckpt)
    refuse_without(density, config)
    density.to(pick_device(config.device), DTYPES[config.precision])
    y = classes_to_draw(config, density)
    work = complete if config.completes else answer if density.context_shape is not None else draw
    with enough_memory(f"batch_size={config.batch_size}, n={how_many(config, density)}"):
        x, picture = work(config, density, trained, y)
    out = Path(config.out)
    with write_whole(out.with_suffix(".npy")) as file:
        np.save(file, x.numpy())
    pictures.save_png(out, picture)
    get_console().print(f"{out} and the levels, {out.with_suffix('.npy')}", highlight=False, soft_wrap=True)


def refuse_contradictions(config: SampleConfig) -> None:
    """Raise UserError for settings that contradict each other, before any file is read."""
    if Path(config.out).suffix.lower() != ".png":
        raise UserError(f"out={config.out}: must end in .png")
    if config.occlude is not None and config.mask is not None:
        raise UserError(f"mask={config.mask}: give either mask or occlude={config.occlude}, not both")
    if config.completes and config.size is not None:
        raise UserError(f"size={list(config.size)}: completions have the size of their images")
    if config.mask is not None:
        check_file("mask", config.mask)
    for path in config.own_pictures:
        check_file("image", path)
    if config.given is not None and (config.completes or config.image is not None):
        raise UserError(f"given={config.given}: counts pictures of the split that are answered; leave it out here")


def refuse_without(density: Density, config: SampleConfig) -> None:
    """Raise UserError for settings that need a context which the model has not, or contradict the one that it has."""
    if density.context_shape is None and not config.completes:
        if config.image is not None:
            path = config.own_pictures[0]
            raise UserError(f"image={path}: give occlude=bottom or mask=FILE too, which say what to complete")
        if config.given is not None:
            raise UserError(f"given={config.given}: only for a model with a context, and {config.ckpt} has none")
    if density.context_shape is not None and config.size is not None:
        raise UserError(f"size={list(config.size)}: images have the size of the pictures that are given")


def how_many(config: SampleConfig, density: Density) -> int:
    """How many images are drawn in all."""
    if density.context_shape is not None and not config.completes:
        return (config.n or pictures.ANSWERS) * (len(config.own_pictures) or config.given or GIVEN)
    return (config.n or SAMPLES) * (len(config.own_pictures) or 1)


def classes_to_draw(config: SampleConfig, density: Density) -> Tensor | None:
    """The class of each image, (n,); None if the model has none or draws them. Raise UserError for a wrong label."""
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
        n = how_many(config, density)
        y = pictures.class_rows(n_classes, n)
        if y is None:
            raise UserError(f"n={n}: label=each needs at least one image for each of the {n_classes} classes")
        _say(f"one row for each class, from the top: {legend(names)}")
        return y
    number = class_number(label, density)
    if names[number] != str(number):
        _say(f"label={label}: class {number} of 0 to {n_classes - 1}, {names[number]}")
    return torch.full((how_many(config, density),), number)


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


def draw(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None
) -> tuple[Tensor, pictures.Picture]:
    """Draw one sample per class in y, or ``n`` samples without y. Return the levels and a grid."""
    parts = []
    for first, count, show in batches(how_many(config, density) if y is None else len(y), config.batch_size, "samples"):
        parts.append(
            density.sample(
                count,
                config.seed,
                None if y is None else y[first : first + count],
                size=config.size,
                temperature=config.temperature,
                method=config.method,
                first=first,
                progress=show,
            ).cpu()
        )
    x = torch.cat(parts)
    scale = config.scale or pictures.default_scale(x.shape[3])
    rows = density.n_classes if config.label == "each" else None
    return x, pictures.sample_grid(x, density.levels, scale, rows, density.class_names if rows else ())


def complete(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None
) -> tuple[Tensor, pictures.Picture]:
    """Complete the first n images of the split, or each of the user's own pictures n times.

    Return the levels and a picture with originals and completions.
    """
    own = config.own_pictures
    n = config.n or SAMPLES
    original = _own_images(own, config, trained) if own else _images(n, config, trained)
    known = _known(config, *original.shape[2:])
    repeated = original.repeat_interleave(n, 0) if own else original
    context = context_of(trained.context, density.levels)(repeated)
    parts = []
    for first, count, show in batches(len(repeated), config.batch_size, "completions"):
        parts.append(
            density.complete(
                repeated[first : first + count],
                known,
                config.seed,
                None if y is None else y[first : first + count],
                context=None if context is None else context[first : first + count],
                temperature=config.temperature,
                method=config.method,
                first=first,
                progress=show,
            ).cpu()
        )
    x = torch.cat(parts)
    scale = config.scale or pictures.default_scale(x.shape[3])
    if own:
        pixels = pictures.as_rgb(original, density.levels)
        return x, pictures.own_grid(pixels, pictures.with_hidden(pixels, known), x, density.levels, scale)
    return x, pictures.completion_grid(original, known, x, density.levels, scale)


def answer(
    config: SampleConfig, density: Density, trained: TrainConfig, y: Tensor | None
) -> tuple[Tensor, pictures.Picture]:
    """Draw n images given the context of each picture: of the first ones of the split, or of the user's own.

    Return the levels and a picture with what is given, the answers and the original.
    """
    own = config.own_pictures
    original = _own_images(own, config, trained) if own else _images(config.given or GIVEN, config, trained, "given")
    context = context_of(trained.context, density.levels)(original)
    assert context is not None
    n = config.n or pictures.ANSWERS
    size = original.shape[2], original.shape[3]
    parts = []
    for first, count, show in batches(n * len(original), config.batch_size, "answers"):
        chosen = torch.arange(first, first + count) // n
        parts.append(
            density.sample(
                count,
                config.seed,
                None if y is None else y[first : first + count],
                context=context[chosen],
                size=size,
                temperature=config.temperature,
                method=config.method,
                first=first,
                progress=show,
            ).cpu()
        )
    x = torch.cat(parts)
    scale = config.scale or pictures.default_scale(x.shape[3])
    given = pictures.context_as_rgb(context, size)
    return x, pictures.own_grid(pictures.as_rgb(original, density.levels), given, x, density.levels, scale)


def _images(n: int, config: SampleConfig, trained: TrainConfig, key: str = "n") -> Tensor:
    """The first n images of the split. Their classes are not asked for."""
    data = ImageDataModule(config.data.instead_of(trained.data, n_classes=0), trained.seed)
    images = data.split(config.split).images
    if n > len(images):
        raise UserError(f"{key}={n}: the {config.split} split has {len(images)} images")
    return images[:n]


def _own_images(paths: Sequence[str], config: SampleConfig, trained: TrainConfig) -> Tensor:
    """The user's own pictures as levels (K, C, H, W), cut and resized as a folder of images is."""
    channels, height, width = trained.data.image_shape
    if height != width or channels not in MODES:
        shape = f"{channels}x{height}x{width}"
        raise UserError(f"image={paths[0]}: the model's images are {shape}; only squares of 1 or 3 channels are read")
    images = []
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                pixels, transparent = decode(Path(path), channels, height)
        except UserError as error:
            raise UserError(f"image={error}") from error
        images.append(pixels)
        if transparent:
            _say(f"image={path}: its transparent pixels become white")
        with Image.open(path) as picture:
            if picture.size != (width, height):
                size = "{}x{}".format(*picture.size)
                _say(f"image={path}: {size} pixels; the square in its middle is resized to {width}x{height}")
    return torch.from_numpy(as_levels(np.stack(images), trained.data, OWN))


def _known(config: SampleConfig, height: int, width: int) -> Tensor:
    """The mask of known pixels (H, W)."""
    if config.occlude is not None:
        known = half_known(config.occlude, height, width)
    else:
        assert config.mask is not None
        known = read_mask(config.mask, height, width)
        told = f"mask={config.mask}: {int(known.sum())} of {known.numel()} pixels are known, the others are drawn"
        get_console().print(told, highlight=False, soft_wrap=True, markup=False)
    if (late := unusable(known)) > 0:
        get_console().print(
            f"note: {late} of {int(known.sum())} known pixels come after an unknown one in raster order (rows from the "
            "top, pixels from the left). They stay as they are, but cannot condition the unknown pixels before them.",
            style="yellow",
            highlight=False,
        )
    return known


def _say(text: str) -> None:
    get_console().print(text, highlight=False, soft_wrap=True, markup=False)
