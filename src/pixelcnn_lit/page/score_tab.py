"""The tab Score: the bits of each pixel of a picture, and its place among test images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.analysis import histograms
from pixelcnn_lit.analysis.explanation import Explained, explanation
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page.answers import on_click
from pixelcnn_lit.page.figures import drawn, said, shown
from pixelcnn_lit.page.models import Model
from pixelcnn_lit.page.scores import References, bits
from pixelcnn_lit.page.upload import levels_of, picture_knob, swap_knob

WIDE = 168


def fill(models: Mapping[str, Model], references: References, chosen: gr.Dropdown) -> None:
    """Fill the tab; ``chosen`` is the name of the model."""
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            picture, inverted = picture_knob(), swap_knob()
            button = gr.Button("Score", variant="primary")
        with gr.Column(scale=3, min_width=340):
            maps, place = gr.HTML(), gr.HTML()
    on_click(button, answer(models, references), [chosen, picture, inverted], [maps, place])


def answer(models: Mapping[str, Model], references: References) -> Any:
    """What the button does: the maps first, then the histogram, whose images are scored when first asked for."""

    def score(name: str, path: str | None, inverted: bool) -> Iterator[tuple[Any, str]]:
        model = models[name]
        x, changed = levels_of(path, model, inverted=inverted)
        per_dim = float(bits(model.density, x).sum()) / x.numel()
        yield maps_of(model, explained(model, x)) + said(changed), said("The test images are scored …")
        yield gr.skip(), place_of(model, per_dim, references)

    return score


def explained(model: Model, x: Tensor) -> Explained:
    """The bits of the pixels of a picture, levels (1, C, H, W), and those that they were going to cost in the mean."""
    return explanation(model.density, (x, torch.zeros(1).long()))


def most_in(maps: Explained) -> float:
    """The most bits of a pixel in either map."""
    return max(float(maps.bits.max()), float(maps.entropy.max()), 1e-9)


def maps_of(model: Model, maps: Explained, most: float | None = None) -> str:
    """The image and its two maps, on one scale, which ends at so many bits; None: at the most that are in them."""
    most = most_in(maps) if most is None else most
    x, totals = maps.levels, [float(part.sum()) for part in (maps.bits, maps.entropy)]
    heats = [pictures.heat(part.numpy() / most) for part in (maps.bits, maps.entropy)]
    row, column = divmod(int(maps.bits.argmax()), x.shape[3])
    return "".join(
        (
            '<div class="images">',
            shown(pictures.as_rgb(x, model.density.levels), ["as the model sees it"], WIDE),
            shown(heats[0], [f"its bits: {totals[0]:.1f} in all"], WIDE),
            shown(heats[1], [f"expected: {totals[1]:.1f} in all"], WIDE),
            "</div>",
            said(
                f"{totals[0] / x.numel():.4f} bits/dim by {model.name}. Black is 0 bits a pixel, white {most:.2f}.",
                f"The pixel that costs most is in row {row}, column {column}: {float(maps.bits.max()):.2f} bits.",
            ),
        )
    )


def place_of(model: Model, per_dim: float, references: References) -> str:
    """The histogram with the place of a picture of so many bits/dim, or a sentence that says why there is none."""
    try:
        among = references.of(model)
    except UserError as error:
        return said(f"There is no histogram: {error}.")
    label = f"this picture: {per_dim:.4f} bits/dim"
    figure = histograms.draw_place(among.bits_per_dim, per_dim, label, f"{len(among.bits_per_dim)} test images")
    return drawn(figure, label) + said(f"{among.place(per_dim)}.", f"The histogram is of {among.what}.")
