"""Levels to pictures that a person can look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pixelcnn_lit.data.quantise import intensities
from pixelcnn_lit.density import Density
from pixelcnn_lit.masks import half_known
from pixelcnn_lit.storage.files import write_whole

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""

GAP = 1  # pixels between images, before enlarging
PAPER = (46, 52, 64)
HIDDEN = (94, 129, 172)


def default_scale(width: int) -> int:
    """How many times to enlarge images of a width so that a grid of eight is about 900 pixels wide."""
    return max(1, round(900 / (8 * (width + GAP))))


def as_rgb(x: Tensor, levels: int) -> NDArray[np.uint8]:
    """Levels (N, C, H, W) to colours (N, H, W, 3): one channel is grey, the first three are R, G, B."""
    colours = intensities(x.cpu().numpy(), levels).transpose(0, 2, 3, 1)
    return colours[..., :3] if colours.shape[-1] >= 3 else np.repeat(colours[..., :1], 3, axis=-1)


def grid(images: NDArray[np.uint8], columns: int, scale: int) -> Picture:
    """Images (N, H, W, 3) in rows of ``columns``, on dark paper, each pixel enlarged ``scale`` times."""
    n, height, width, _ = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.empty((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), dtype=np.uint8)
    sheet[:] = PAPER
    for i, image in enumerate(images):
        top, left = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def class_rows(n_classes: int | None, n: int) -> Tensor | None:
    """The classes of about n images that make a row for each class; None without classes, or where there are over n."""
    if n_classes is None or n_classes > n:
        return None
    return torch.arange(n_classes).repeat_interleave(n // n_classes)


def sample_grid(x: Tensor, levels: int, scale: int, rows: int | None = None) -> Picture:
    """Samples (N, C, H, W), row by row: in ``rows``, or about as wide as high, eight wide up to 64 images."""
    columns = len(x) // rows if rows else 8 if len(x) <= 64 else int(np.ceil(np.sqrt(len(x))))
    return grid(as_rgb(x, levels), columns, scale)


def draw_samples(density: Density, n: int, seed: int, scale: int) -> Picture:
    """A grid of about n samples, with a row for each class of a class-conditional density."""
    y = class_rows(density.n_classes, n)
    if y is None:
        return sample_grid(density.sample(n, seed), density.levels, scale)
    return sample_grid(density.sample(len(y), seed, y), density.levels, scale, density.n_classes)


def draw_completions(density: Density, original: Tensor, seed: int, scale: int) -> Picture:
    """A grid of images (N, C, H, W) whose lower half is hidden and completed."""
    known = half_known("bottom", *original.shape[2:])
    completed = density.complete(original, known, seed)
    return completion_grid(original, known, completed, density.levels, scale)


def completion_grid(original: Tensor, known: Tensor, completed: Tensor, levels: int, scale: int) -> Picture:
    """Rows of three: the originals, what the model was given (the rest in blue), and its completions.

    ``original`` and ``completed`` are (N, C, H, W) levels, ``known`` is (H, W) bool.
    """
    originals, results = as_rgb(original, levels), as_rgb(completed, levels)
    given = originals.copy()
    given[:, ~known.cpu().numpy()] = HIDDEN
    columns = min(8, len(original))
    bands = [part[i : i + columns] for i in range(0, len(original), columns) for part in (originals, given, results)]
    blank = np.broadcast_to(np.array(PAPER, dtype=np.uint8), (columns, *originals.shape[1:]))
    full = [np.concatenate([band, blank[len(band) :]]) for band in bands]
    return grid(np.concatenate(full), columns, scale)


def save_png(path: str | Path, picture: Picture) -> None:
    """Write a picture, whole or not at all. Raise UserError if it can't be written."""
    with write_whole(path) as file:
        Image.fromarray(picture).save(file, format="PNG")
