"""The numbers that a visitor sets: a knob of the page, and its value checked. A program may send what no knob can."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pixelcnn_lit.errors import UserError

LAST_SEED = 2**32 - 1
HOTTEST = 2.0


def seed_knob() -> gr.Number:
    """The seed: image i depends on it and on i alone."""
    # Without its own limits: gradio rounds to them, or refuses without the name.
    return gr.Number(0, label="Seed", min_width=120)


def temperature_knob() -> gr.Slider:
    """What the logits are divided by."""
    return gr.Slider(0, HOTTEST, 1, step=0.05, label="Temperature", min_width=180)


def seed_of(value: Any) -> int:
    """The seed that a visitor gave. Raises UserError if there is no such seed."""
    return whole("seed", value, 0, LAST_SEED)


def temperature_of(value: Any) -> float:
    """The temperature that a visitor gave. Raises UserError if it is out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= HOTTEST:
        raise UserError(f"{_given('temperature', value)}: must be a number from 0 to {HOTTEST:g}")
    return float(value)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``. Raises UserError, which names it, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or not low <= value <= high:
        raise UserError(f"{_given(name, value)}: must be an integer from {low} to {high}")
    return int(value)


def _given(name: str, value: Any) -> str:
    return f"{name} is empty" if value is None else f"{name}={value}"
