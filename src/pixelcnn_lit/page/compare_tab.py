"""The tab Compare: two models side by side, by their samples, their test images and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from pixelcnn_lit import pictures
from pixelcnn_lit.config.data import apart
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page.answers import on_click
from pixelcnn_lit.page.figures import heading, said, shown
from pixelcnn_lit.page.knobs import seed_knob, seed_of, temperature_knob, temperature_of
from pixelcnn_lit.page.models import Model
from pixelcnn_lit.page.rows import rows
from pixelcnn_lit.page.score_tab import explained, maps_of, most_in
from pixelcnn_lit.page.scores import References
from pixelcnn_lit.page.upload import levels_of, picture_knob, swap_knob
from pixelcnn_lit.sampling.draw import Progress

SAMPLES = 8
NARROWEST = 320
"""Pixels of the screen below which the two models stand one above the other."""


def fill(models: Mapping[str, Model], references: References) -> None:
    """Fill the tab."""
    names = list(models)
    with gr.Row():
        left = gr.Dropdown(names, value=names[0], label="Left", filterable=False, min_width=NARROWEST)
        right = gr.Dropdown(names, value=names[1 % len(names)], label="Right", filterable=False, min_width=NARROWEST)
    with gr.Row():
        seed, temperature = seed_knob(), temperature_knob()
    with gr.Accordion("With a picture too", open=False):
        picture, inverted = picture_knob(), swap_knob()
    button = gr.Button("Compare", variant="primary")
    told = gr.HTML()
    sides = []
    with gr.Row():
        for _ in range(2):
            with gr.Column(min_width=NARROWEST):
                sides.append(gr.HTML())
    inputs = [left, right, seed, temperature, picture, inverted]
    on_click(button, answer(models, references), inputs, [told, *sides])


def answer(models: Mapping[str, Model], references: References) -> Any:
    """What the button does: the samples of the left model, then of the right one, then what both cost."""

    def compare(
        left: str, right: str, seed: Any, temperature: Any, path: str | None, inverted: bool
    ) -> Iterator[tuple[Any, Any, Any]]:
        one, other, sides = models[left], models[right], ["", ""]
        how: dict[str, Any] = {"seed": seed_of(seed), "temperature": temperature_of(temperature)}
        for number, model in enumerate((one, other)):
            for side in _sampled(model, how):
                sides[number] = side
                yield "", sides[0], sides[1]
        for number, model in enumerate((one, other)):
            sides[number] += _mean(model, references)
            yield gr.skip(), sides[0], sides[1]
        if path is not None:
            for number, maps in enumerate(_scored(one, other, path, inverted=inverted)):
                sides[number] += maps
            yield gr.skip(), sides[0], sides[1]
        yield said(verdict(one, other, references)), gr.skip(), gr.skip()

    return compare


def _sampled(model: Model, how: dict[str, Any]) -> Iterator[str]:
    """The name of a model and its samples, row by row."""

    def draw(progress: Progress) -> Tensor:
        return model.density.sample(SAMPLES, progress=progress, **how)

    for so_far in rows(draw):
        images = pictures.with_hidden(pictures.as_rgb(so_far.x, model.density.levels), so_far.seen)
        yield heading(model.name) + said(model.sentence) + shown(images, [""] * SAMPLES, wide=84)


def _scored(one: Model, other: Model, path: str, *, inverted: bool) -> list[str]:
    """The maps of a picture by each model, on one scale if their bits compare."""
    pair = (one, other)
    seen = [levels_of(path, model, inverted=inverted) for model in pair]
    maps = [explained(model, x) for model, (x, _) in zip(pair, seen, strict=True)]
    most = max(map(most_in, maps)) if apart(one.trained.data, other.trained.data) is None else None
    parts = zip(pair, maps, seen, strict=True)
    return [maps_of(model, found, most) + said(changed) for model, found, (_, changed) in parts]


def _mean(model: Model, references: References) -> str:
    """The mean bits/dim of the test images of a model."""
    try:
        among = references.of(model)
    except UserError as error:
        return said(f"No test images: {error}.")
    return said(f"{among.mean:.4f} bits/dim, the mean of {among.what}.")


def verdict(one: Model, other: Model, references: References) -> str:
    """Which of two models gives the same test images fewer bits, or why that cannot be told, in a sentence."""
    if (reason := why_apart(one, other)) is not None:
        return f"Their bits do not compare: {reason}."
    try:
        left, right = references.of(one), references.of(other)
    except UserError as error:
        return f"There are no test images to compare them by: {error}."
    if not torch.equal(left.images, right.images):
        return "Their bits compare, but the test images are not the same."
    if left.mean == right.mean:
        return "Both have the same bits/dim on the same test images."
    better = "left" if left.mean < right.mean else "right"
    return f"The {better} model has {abs(left.mean - right.mean):.4f} bits/dim less on the same test images."


def why_apart(one: Model, other: Model) -> str | None:
    """What makes the bits of two models numbers of different things; None if nothing does."""
    found = apart(one.trained.data, other.trained.data)
    if found is None:
        return None
    return {
        "image_shape": f"their images are of {found.ours} and {found.theirs} (channels, height, width)",
        "levels": f"their levels are {found.ours} and {found.theirs}",
        "binarize": "the images of one are binarised at random, those of the other are cut into levels",
    }[found.key]
