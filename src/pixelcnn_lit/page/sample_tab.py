"""The tab Sample: images drawn row by row, and files of them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis.progress import Film
from pixelcnn_lit.data.classes import listed, numbered
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page.answers import on_click
from pixelcnn_lit.page.figures import download, enlarged, said
from pixelcnn_lit.page.knobs import seed_knob, seed_of, temperature_knob, temperature_of, whole
from pixelcnn_lit.page.models import Model
from pixelcnn_lit.page.rows import rows
from pixelcnn_lit.page.scores import bits
from pixelcnn_lit.sampling.draw import Progress, SoFar

MOST, LARGEST = 64, 64
"""So many images are drawn at most, of so many pixels a side, or of the model's own size."""
SCALE = 3
ANY, EACH = "any", "each"
"""What stands for no class, which the model then draws, and for a row of each."""


def fill(models: Mapping[str, Model], chosen: gr.Dropdown) -> None:
    """Fill the tab; ``chosen`` is the name of the model."""
    first = next(iter(models.values()))
    with gr.Row():
        n = gr.Slider(1, MOST, 16, step=1, label="Images", min_width=180)
        temperature, seed = temperature_knob(), seed_knob()
    with gr.Row():
        height, width, label = _knobs(first)
    button = gr.Button("Sample", variant="primary")
    images, files = gr.HTML(), gr.HTML()

    def adapted(name: str) -> tuple[gr.Slider, gr.Slider, gr.Dropdown]:
        return _knobs(models[name])

    chosen.change(adapted, chosen, [height, width, label], api_visibility="private", show_progress="hidden")
    inputs = [chosen, n, seed, temperature, height, width, label]
    on_click(button, answer(models), inputs, [images, files])


def _knobs(model: Model) -> tuple[gr.Slider, gr.Slider, gr.Dropdown]:
    """What depends on the model: height, width and class."""
    _, height, width = model.trained.data.image_shape
    names = list(_names(model.density))
    label = gr.Dropdown([ANY, EACH, *names], value=ANY, label="Class", visible=bool(names), min_width=140)
    return _side(height, "Height"), _side(width, "Width"), label


def _side(own: int, name: str) -> gr.Slider:
    return gr.Slider(1, max(LARGEST, own), own, step=1, label=name, min_width=140)


def _names(density: Density) -> tuple[str, ...]:
    return density.class_names or numbered(density.n_classes or 0)


def answer(models: Mapping[str, Model]) -> Any:
    """What the button does: images row by row, then their bits and files of them."""

    def sample(
        name: str, n: Any, seed: Any, temperature: Any, height: Any, width: Any, label: Any
    ) -> Iterator[tuple[str, str]]:
        model = models[name]
        _, *own = model.trained.data.image_shape
        most = max(LARGEST, *own)
        size = whole("height", height, 1, most), whole("width", width, 1, most)
        y = classes(model.density, whole("images", n, 1, MOST), label)
        count = int(n) if y is None else len(y)
        film = Film()

        def draw(progress: Progress) -> Tensor:
            def told(so_far: SoFar) -> None:
                film.note(so_far)
                progress(so_far)

            how: dict[str, Any] = {"seed": seed_of(seed), "temperature": temperature_of(temperature)}
            return model.density.sample(count, y=y, size=size, progress=told, **how)

        for so_far in rows(draw):
            yield _grid(so_far, model.density), said(f"row {so_far.done} of {so_far.total}, of {name}")
        given = "" if y is None else f", class {label}" if label != EACH else ", a row of each class"
        yield gr.skip(), _bits(model, so_far.x, given) + _files(so_far.x, film, model.density)

    return sample


def classes(density: Density, n: int, label: str) -> Tensor | None:
    """The class of each of n images, (n,); for :data:`EACH` of about n. None where the model draws them.

    Raises UserError for a class that the model has not.
    """
    if density.n_classes is None or label == ANY:
        return None
    if label != EACH:
        names = _names(density)
        if label not in names:
            raise UserError(f"class={label}: must be one of {listed(names)}")
        return torch.full((n,), names.index(label))
    y = pictures.class_rows(density.n_classes, n)
    if y is None:
        raise UserError(f"a row of each class needs {density.n_classes} images or more")
    return y


def _grid(so_far: SoFar, density: Density) -> str:
    pixels = pictures.with_hidden(pictures.as_rgb(so_far.x, density.levels), so_far.seen)
    return enlarged(pictures.grid(pixels, 8, scale=1), SCALE, f"{len(pixels)} samples")


def _bits(model: Model, x: Tensor, given: str) -> str:
    per_dim = bits(model.density, x).mean((1, 2)) / x.shape[1]
    samples = "1 sample" if len(x) == 1 else f"{len(x)} samples"
    return said(f"{samples} of {model.name}{given}: {float(per_dim.mean()):.4f} bits/dim in the mean")


def _files(x: Tensor, film: Film, density: Density) -> str:
    """Links to a picture of the samples, to their drawing as a film, and to their levels."""
    scale = pictures.default_scale(x.shape[3])
    frames = pictures.drawing(x, film.when, density.levels, scale)
    levels = io.BytesIO()
    np.save(levels, x.numpy())
    return (
        download(pictures.png(frames[-1]), "image/png", "samples.png")
        + download(pictures.gif(frames), "image/gif", "samples.gif")
        + download(levels.getvalue(), "application/octet-stream", "samples.npy")
    )
