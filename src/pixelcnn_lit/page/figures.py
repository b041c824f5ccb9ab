"""Images as HTML that needs no file: each is a PNG in the text itself, enlarged by the browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from pixelcnn_lit.pictures import Picture, Pixels, png

WIDE = 112
"""So many pixels of the screen an image is wide, about."""


def uri(content: bytes, mime: str) -> str:
    """A file as an address that holds it."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def shown(images: Pixels, captions: Sequence[str], wide: int = WIDE) -> str:
    """A row of images (N, H, W, 3), each above its caption; it breaks where the page ends."""
    figures = []
    scale = max(1, round(wide / images.shape[2]))
    for image, caption in zip(images, captions, strict=True):
        address, text = uri(png(image), "image/png"), escape(caption)
        width, height = image.shape[1] * scale, image.shape[0] * scale
        figures.append(
            f'<figure style="width: {width}px"><img src="{address}" width="{width}" height="{height}" alt="{text}">'
            f"<figcaption>{text}</figcaption></figure>"
        )
    return f'<div class="images">{"".join(figures)}</div>'


def enlarged(picture: Picture, scale: int, alt: str) -> str:
    """One picture (H, W, 3), each pixel ``scale`` times as wide on the screen."""
    height, width, _ = picture.shape
    size = f'width="{width * scale}" height="{height * scale}"'
    return f'<div class="images"><img src="{uri(png(picture), "image/png")}" {size} alt="{escape(alt)}"></div>'


def said(*sentences: str) -> str:
    """Sentences as a paragraph."""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)


def wrong(sentence: str) -> str:
    """A sentence that says what is wrong."""
    return f'<p class="wrong" role="alert">{escape(sentence)}</p>'


def heading(text: str) -> str:
    """A line above others."""
    return f"<h3>{escape(text)}</h3>"


def drawn(figure: Figure, alt: str) -> str:
    """A figure of Matplotlib."""
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return f'<img class="figure" src="{uri(file.getvalue(), "image/svg+xml")}" alt="{escape(alt)}">'


def download(content: bytes, mime: str, name: str) -> str:
    """A link that saves a file."""
    return f'<a class="download" download="{escape(name)}" href="{uri(content, mime)}">{escape(name)}</a>'
