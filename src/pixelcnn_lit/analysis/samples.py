"""The command ``sample``: draws or completes images from a checkpoint, and writes a picture and the levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.answers import GIVEN, answer
from pixelcnn_lit.analysis.completions import complete, known_pixels
from pixelcnn_lit.analysis.given import refuse_choice
from pixelcnn_lit.analysis.labels import classes_to_draw, grid_of, tell_old_order
from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.analysis.progress import Film, in_batches
from pixelcnn_lit.analysis.vqvae_samples import draw_from_codes
from pixelcnn_lit.config import SampleConfig
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import check_file, write_whole
from pixelcnn_lit.storage.stages import has_priors

SAMPLES = 64
"""How many images are drawn by default."""
LEVELS, FILM = ".npy", ".gif"
"""The endings of the files beside the picture."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def sample(config: SampleConfig) -> None:
    """Write a grid of samples or completions as a PNG, and their levels beside it as .npy."""
    refuse_contradictions(config)
    if has_priors(config.ckpt):
        x, picture = draw_from_codes(config, config.n or SAMPLES)
    else:
        x, picture = drawn(config)
    out = Path(config.out)
    with write_whole(out.with_suffix(LEVELS)) as file:
        np.save(file, x.numpy())
    pictures.save_png(out, picture)
    say(f"{out} and the levels, {out.with_suffix(LEVELS)}")


def drawn(config: SampleConfig) -> tuple[Tensor, pictures.Picture]:
    """Samples, completions or answers of a density, as levels and as a picture."""
    density, trained = load_with_config(config.ckpt)
    refuse_without(density, config)
    if reads_split(config, density):
        check_outputs(config, *beside(config), trained=trained.data)
    else:
        refuse_choice(config)
    density.to(pick_device(config.device), DTYPES[config.precision])
    total = how_many(config, density)
    y = classes_to_draw(config, density, total)
    tell_old_order(config, density, trained)
    film = Film() if config.gif else None
    with enough_memory(f"batch_size={config.batch_size}, n={total}"):
        if config.completes:
            known = known_pixels(config, *trained.data.image_shape[1:])
            x, picture = complete(config, density, trained, y, config.n or SAMPLES, known, film)
        elif density.context_shape is not None:
            x, picture = answer(config, density, trained, y, film)
        else:
            x, picture = draw(config, density, total, y, film)
    if film is not None:
        out, columns = Path(config.out).with_suffix(FILM), pictures.columns_of(len(x))
        scale = config.scale or pictures.default_scale(x.shape[3], columns)
        pictures.save_gif(out, pictures.drawing(x, film.when, density.levels, scale))
        say(f"{out}: row by row")
    return x, picture


def beside(config: SampleConfig) -> list[str]:
    """The endings of the files that are written beside the picture."""
    return [LEVELS, FILM] if config.gif else [LEVELS]


def reads_split(config: SampleConfig, density: Density) -> bool:
    """Whether images of the data are completed or answered."""
    return not config.own_pictures and (config.completes or density.context_shape is not None)


def refuse_contradictions(config: SampleConfig) -> None:
    """Raise UserError for settings that contradict each other, before any file is read."""
    if Path(config.out).suffix.lower() != ".png":
        raise UserError(f"out={config.out}: must end in .png")
    check_outputs(config, *beside(config))
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


def draw(
    config: SampleConfig, density: Density, n: int, y: Tensor | None, film: Film | None
) -> tuple[Tensor, pictures.Picture]:
    """Draw one sample per class in y, or ``n`` samples without y. Return the levels and a grid."""

    def drawn(part: slice, **how: Any) -> Tensor:
        return density.sample(part.stop - part.start, size=config.size, **how)

    x = in_batches(config, n if y is None else len(y), y, "samples", drawn, film)
    return x, grid_of(config, x, density, density.levels)
