"""The tab Draw: a sketch or an upload, of which a part is hidden, is completed in eight ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from PIL import Image
from torch import Tensor

from pixelcnn_lit.analysis.completions import conditioning
from pixelcnn_lit.page.answers import on_click, readable
from pixelcnn_lit.page.figures import said, shown
from pixelcnn_lit.page.knobs import seed_knob, seed_of, temperature_knob, temperature_of
from pixelcnn_lit.page.models import Model
from pixelcnn_lit.page.rows import rows
from pixelcnn_lit.page.scores import costs
from pixelcnn_lit.page.sketch import read
from pixelcnn_lit.page.upload import swap_knob
from pixelcnn_lit.pictures import HIDDEN, as_rgb, with_hidden
from pixelcnn_lit.sampling.draw import Progress

COMPLETIONS = 8
CANVAS = 280
PARTS = {
    "all below the drawing": "below",
    "the lower half": "bottom",
    "the upper half": "top",
    "the left half": "left",
    "the right half": "right",
    "the middle": "centre",
    "only what is painted blue": "none",
}
HELP = (
    "Sketch the upper part of a digit in white, in the middle of the canvas as MNIST's are. Or upload a picture and "
    "paint blue over what is to be hidden: the palette at the left of the canvas has white and blue."
)
WHITE, BLUE = "#ffffff", "#{:02x}{:02x}{:02x}".format(*HIDDEN)


def fill(models: Mapping[str, Model], chosen: gr.Dropdown) -> None:
    """Fill the tab; ``chosen`` is the name of the model."""
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            gr.Markdown(HELP)
            black: Any = {"background": Image.new("RGB", (CANVAS, CANVAS)), "layers": [], "composite": None}
            canvas = gr.ImageEditor(
                black,
                label="Canvas",
                type="pil",
                image_mode="RGBA",
                format="png",
                sources=["upload", "clipboard"],
                canvas_size=(CANVAS, CANVAS),
                brush=gr.Brush(default_size=12, colors=[WHITE, BLUE], default_color=WHITE, color_mode="fixed"),
                transforms=(),
                layers=False,
                buttons=[],
            )
            readable(canvas)
            # Gradio's own empty canvas is white, on which white cannot be seen.
            canvas.clear(lambda: black, None, canvas, api_visibility="private", show_progress="hidden")
            button = gr.Button("Complete", variant="primary")
            part = gr.Dropdown(list(PARTS), value=next(iter(PARTS)), label="Hidden", filterable=False)
            inverted = swap_knob()
            with gr.Row():
                seed, temperature = seed_knob(), temperature_knob()
        with gr.Column(scale=3, min_width=340):
            given, completions = gr.HTML(), gr.HTML()
    inputs = [chosen, canvas, part, inverted, seed, temperature]
    on_click(button, answer(models), inputs, [given, completions])


def answer(models: Mapping[str, Model]) -> Any:
    """What the button does: what the model is given, then completions row by row, and at last their bits."""

    def complete(
        name: str, canvas: dict[str, Any], part: str, inverted: bool, seed: int, temperature: float
    ) -> Iterator[tuple[Any, Any]]:
        density, trained = models[name].density, models[name].trained
        how: dict[str, Any] = {"seed": seed_of(seed), "temperature": temperature_of(temperature)}
        sketch = read(canvas["background"], canvas["layers"], trained.data, PARTS[part], inverted=inverted)  # type: ignore[arg-type]
        levels, known = density.levels, sketch.known
        given = shown(with_hidden(as_rgb(sketch.x, levels), known), ["what the model is given"])
        yield given + said(f"{name}: {conditioning(known, density)}"), ""

        def draw(progress: Progress) -> Tensor:
            x = sketch.x.expand(COMPLETIONS, -1, -1, -1)
            return density.complete(x, known, progress=progress, **how)

        for so_far in rows(draw):
            images = with_hidden(as_rgb(so_far.x, levels), so_far.seen)
            row = f"row {so_far.done} of {so_far.total}"
            yield gr.skip(), shown(images, [row] * COMPLETIONS)
        yield gr.skip(), shown(images, costs(density, so_far.x, known))

    return complete
