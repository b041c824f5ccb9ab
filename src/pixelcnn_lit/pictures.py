"""Pictures of images: grids of samples and completions, in RGB and as PNG files."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pixelcnn_lit.data.images import Batch
from pixelcnn_lit.data.quantise import intensities
from pixelcnn_lit.density import Density
from pixelcnn_lit.masks import visible_beside
from pixelcnn_lit.storage.files import write_whole

Picture = NDArray[np.uint8]
"""An RGB picture, (H, W, 3)."""
Pixels = NDArray[np.uint8]
"""Images in RGB, (N, H, W, 3)."""

MOST_CHANNELS = 4  # of an image
ANSWERS = 6
"""So many images are drawn for a context; with the context and the original they fill a row."""
GAP = 1  # pixels between images, before the picture is enlarged
PAPER = (46, 52, 64)
HIDDEN = (94, 129, 172)
HEAT = ((8, 10, 20), (94, 60, 140), (208, 80, 90), (250, 190, 80), (255, 255, 230))
"""The colours of a map, from none to the most."""
INK = (236, 239, 244)
FRAMES, FRAME_MS, LAST_FRAME_MS = 64, 100, 3000
MIN_LETTERS, MAX_LETTERS = 8, 24  # pixels, the size of the names of rows
MOST_LETTERS = 20  # of a name


def default_scale(width: int, columns: int = 8) -> int:
    """The factor that enlarges images of ``width`` so that a grid of so many columns is about 900 pixels wide.

    It is 1 for a wider grid: ten thousand images, each enlarged for eight in a row, would take a gigabyte.
    """
    return max(1, round(900 / (columns * (width + GAP))))


def columns_of(n: int) -> int:
    """The columns of a grid of n images: eight up to 64 images, then about as many as rows."""
    return 8 if n <= 64 else math.ceil(math.sqrt(n))


def as_rgb(x: Tensor, levels: int) -> NDArray[np.uint8]:
    """Convert levels (N, C, H, W) to RGB (N, H, W, 3). Three or more channels: R, G, B first; fewer: grey."""
    colours = intensities(x.cpu().numpy(), levels).transpose(0, 2, 3, 1)
    return colours[..., :3] if colours.shape[-1] >= 3 else np.repeat(colours[..., :1], 3, axis=-1)


def grid(images: NDArray[np.uint8], columns: int, scale: int) -> Picture:
    """Arrange images (N, H, W, 3) in rows of ``columns`` on a dark background; enlarge each pixel ``scale`` times."""
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
    """Classes for about n images, one grid row per class. None without classes, or with more classes than n."""
    if n_classes is None or n_classes > n:
        return None
    return torch.arange(n_classes).repeat_interleave(n // n_classes)


def sample_grid(x: Tensor, levels: int, scale: int, rows: int | None = None, names: Sequence[str] = ()) -> Picture:
    """A grid of samples (N, C, H, W) in ``rows`` rows. By default eight columns up to 64 images, then about square.

    With ``names``, one a row, each row begins with its name.
    """
    columns = len(x) // rows if rows else columns_of(len(x))
    sheet = grid(as_rgb(x, levels), columns, scale)
    return beside_names(sheet, names, scale, (x.shape[2] + GAP) * scale) if names else sheet


def beside_names(sheet: Picture, names: Sequence[str], scale: int, height: int) -> Picture:
    """A grid whose rows, ``height`` pixels each, have their names at the left. Long names are cut."""
    font = ImageFont.load_default(size=max(MIN_LETTERS, min(MAX_LETTERS, height // 2)))
    shown = [name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…" for name in names]
    margin = max(round(font.getlength(name)) for name in shown) + 2 * MIN_LETTERS
    picture = Image.new("RGB", (margin + sheet.shape[1], sheet.shape[0]), PAPER)
    picture.paste(Image.fromarray(sheet), (margin, 0))
    draw = ImageDraw.Draw(picture)
    for row, name in enumerate(shown):
        middle = GAP * scale + row * height + (height - GAP * scale) // 2
        draw.text((margin - MIN_LETTERS, middle), name, INK, font, anchor="rm")
    return np.asarray(picture)


def draw_samples(density: Density, n: int, seed: int, scale: int, batch: Batch) -> Picture:
    """Draw a grid of about n samples; a class-conditional density has one row per class.

    A density with a context draws :data:`ANSWERS` answers for each of the first images of ``batch``.
    """
    if density.context_shape is not None:
        few = tuple(part[: -(-n // (ANSWERS + 2))] for part in batch)
        return draw_answers(density, few[0], few[2], seed, scale)
    y = class_rows(density.n_classes, n)
    if y is None:
        return sample_grid(density.sample(n, seed), density.levels, scale)
    return sample_grid(density.sample(len(y), seed, y), density.levels, scale, density.n_classes, density.class_names)


def draw_answers(density: Density, original: Tensor, context: Tensor, seed: int, scale: int) -> Picture:
    """Draw :data:`ANSWERS` images for each context (N, F, H', W') of the images ``original`` (N, C, H, W)."""
    repeated = context.repeat_interleave(ANSWERS, 0)
    size = original.shape[2], original.shape[3]
    answers = density.sample(len(repeated), seed, context=repeated, size=size)
    return own_grid(as_rgb(original, density.levels), context_as_rgb(context, size), answers, density.levels, scale)


def context_as_rgb(context: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Convert contexts (N, F, H', W') in [0, 1] to RGB (N, H, W, 3).

    Of three features, R, G, B; of more than images have, codes, the number of each code as a grey; else the first one.
    """
    features = context.shape[1]
    if features > MOST_CHANNELS:
        context = context.argmax(1, keepdim=True) / (features - 1)
    colours = context if features == 3 else context[:, :1].expand(-1, 3, -1, -1)
    pixels = F.interpolate(colours.float().cpu(), size=size, mode="nearest")
    return (255 * pixels.clamp(0, 1)).round().byte().permute(0, 2, 3, 1).numpy()


def draw_completions(density: Density, batch: Batch, seed: int, scale: int) -> Picture:
    """Complete the lower half of the images of ``batch``, and show them in a grid."""
    original, _, *context = batch
    known = visible_beside("bottom", *original.shape[2:])
    completed = density.complete(original, known, seed, context=context[0] if context else None)
    return completion_grid(original, known, completed, density.levels, scale)


def completion_grid(original: Tensor, known: Tensor, completed: Tensor, levels: int, scale: int) -> Picture:
    """A grid that repeats three rows: originals, what the model was given (the rest in blue), and completions.

    ``original`` and ``completed`` are (N, C, H, W) levels, ``known`` is (H, W) bool.
    """
    originals, results = as_rgb(original, levels), as_rgb(completed, levels)
    given = with_hidden(originals, known)
    return bands((originals, given, results), scale)


def bands(parts: Sequence[Pixels], scale: int) -> Picture:
    """A grid that repeats a row of each part, in turns; the parts (N, H, W, 3) are of the same N images."""
    columns = min(8, len(parts[0]))
    rows = [part[i : i + columns] for i in range(0, len(parts[0]), columns) for part in parts]
    blank = np.broadcast_to(np.array(PAPER, dtype=np.uint8), (columns, *parts[0].shape[1:]))
    full = [np.concatenate([row, blank[len(row) :]]) for row in rows]
    return grid(np.concatenate(full), columns, scale)


def with_hidden(originals: NDArray[np.uint8], known: Tensor) -> NDArray[np.uint8]:
    """Pictures (N, H, W, 3) whose pixels that are not ``known``, (H, W) or (N, H, W), are blue."""
    given = originals.copy()
    given[~known.cpu().expand(given.shape[:3]).numpy()] = HIDDEN
    return given


def own_grid(
    originals: NDArray[np.uint8], given: NDArray[np.uint8], answers: Tensor, levels: int, scale: int
) -> Picture:
    """For each of K pictures (K, H, W, 3): what the model was ``given``, its answers, and the picture itself.

    ``answers`` (K n, C, H, W) are the n completions or samples for the first picture, then those for the second. Each
    picture begins a row.
    """
    results = as_rgb(answers, levels)
    n = len(answers) // len(originals)
    columns = min(8, n + 2)
    blank = np.broadcast_to(np.array(PAPER, dtype=np.uint8), (-(n + 2) % columns, *originals.shape[1:]))
    cells = []
    for i in range(len(originals)):
        cells += [given[i : i + 1], results[i * n : (i + 1) * n], originals[i : i + 1], blank]
    return grid(np.concatenate(cells), columns, scale)


def drawing(x: Tensor, when: Tensor, levels: int, scale: int) -> list[Picture]:
    """Grids of images (N, C, H, W) as they are drawn, from what was known to all: what is not drawn yet is blue.

    ``when`` (N, H, W) says for each pixel when it was drawn, above 0, or 0 if it was known. A grid follows each such
    moment, or :data:`FRAMES` in all.
    """
    pixels, moments = as_rgb(x, levels), when[when > 0].unique().tolist()
    columns = columns_of(len(x))
    count = min(len(moments), FRAMES)
    shown = (0.0, *(moments[round((i + 1) * len(moments) / count) - 1] for i in range(count)))
    return [grid(with_hidden(pixels, when <= moment), columns, scale) for moment in shown]


def save_gif(path: str | Path, grids: Sequence[Picture]) -> None:
    """Write pictures of one size as a GIF file, as :func:`gif` makes it, atomically."""
    with write_whole(path) as file:
        file.write(gif(grids))


def gif(grids: Sequence[Picture]) -> bytes:
    """The content of a GIF file of pictures of one size. It repeats, and shows the last one for long."""
    first, *others = [Image.fromarray(picture) for picture in grids]
    durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
    file = io.BytesIO()
    first.save(file, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return file.getvalue()


def draw_bits(density: Density, batch: Batch, scale: int) -> Picture:
    """A grid of the images of ``batch``, each band of them above the maps of the bits of their pixels.

    Black is 0 bits, and white the bits of the costliest pixel of the batch.
    """
    original, _, *context = batch
    with torch.inference_mode():
        nats = density.nats(original, context=context[0] if context else None).sum(1).cpu()
    shown = heat(nats.numpy() / max(float(nats.max()), 1e-9))
    return bands((as_rgb(original, density.levels), shown), scale)


def heat(values: NDArray[np.floating]) -> Pixels:
    """Values (N, H, W) from 0 to 1 as colours (N, H, W, 3): :data:`HEAT`, and straight lines between."""
    stops = np.linspace(0, 1, len(HEAT))
    colours = [np.interp(values, stops, part) for part in np.array(HEAT).T]
    return np.stack(colours, axis=-1).round().astype(np.uint8)


def save_png(path: str | Path, picture: Picture) -> None:
    """Write a picture as a PNG file, atomically. Raise UserError if it cannot be written."""
    with write_whole(path) as file:
        file.write(png(picture))


def png(picture: Picture) -> bytes:
    """The content of a PNG file of a picture."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, format="PNG")
    return file.getvalue()
