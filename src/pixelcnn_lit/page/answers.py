"""How a tab answers a visitor: bit by bit, and an error is a sentence on the page."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from typing import Any

import gradio as gr

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import message
from pixelcnn_lit.page.cores import keep_share
from pixelcnn_lit.page.figures import wrong
from pixelcnn_lit.page.gate import FORMATS, PIXELS

Answer = Callable[..., Generator[Any, None, None]]

ONE_AT_A_TIME: dict[str, Any] = {
    "concurrency_id": "model",
    "concurrency_limit": 1,
    "show_progress": "minimal",
    "api_visibility": "private",
}
"""How events that ask a model are heard: one after the other, so that each has all cores, and from the page alone."""


def readable(component: Any) -> Any:
    """A component that takes a picture; one that cannot be read is given on as its error, which names no file."""
    original = component.preprocess

    def preprocess(payload: Any) -> Any:
        try:
            return original(payload)
        except Exception:
            kinds, most = ", ".join(FORMATS), 2 * PIXELS // 1_000_000
            return UserError(f"this cannot be read as a picture ({kinds}) of at most {most} million pixels")

    component.preprocess = preprocess
    return component


def on_click(button: gr.Button, work: Answer, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Let ``button`` ask a model by ``work``, whose errors are told in place of what stood in ``outputs`` before."""
    button.click(in_sentences(work, len(outputs)), list(inputs), list(outputs), **ONE_AT_A_TIME)


def in_sentences(work: Answer, n_outputs: int) -> Answer:
    """``work``, whose errors are shown on the page as one sentence each, above empty outputs."""

    @functools.wraps(work)
    def told(*arguments: Any) -> Generator[Any, None, None]:
        steps = work(*arguments)
        try:
            for argument in arguments:
                if isinstance(argument, UserError):
                    raise argument
            while True:
                keep_share()  # each step is run by any thread of gradio's
                yield next(steps)
        except StopIteration:
            return
        except Exception as error:
            yield wrong(message(error)), *[""] * (n_outputs - 1)
        finally:
            steps.close()

    return told
