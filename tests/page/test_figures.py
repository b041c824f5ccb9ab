from __future__ import annotations

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from pixelcnn_lit.analysis.histograms import draw_place
from pixelcnn_lit.page import figures


def content(html, mime):
    """The files in a text of HTML."""
    return [base64.b64decode(text) for text in re.findall(rf'"data:{re.escape(mime)};base64,([^"]*)"', html)]


def test_images_are_in_the_text_itself_each_with_its_caption():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    html = figures.shown(images, ["one", "2 < 3", "<script>"], wide=60)
    for file, image in zip(content(html, "image/png"), images, strict=True):
        with Image.open(io.BytesIO(file)) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image)
    assert html.count('width="60" height="40"') == 3
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == ["one", "2 &lt; 3", "&lt;script&gt;"]


def test_no_text_becomes_markup():
    for html in (figures.said("<b>"), figures.download(b"", "text/plain", '"><b>'), figures.said("", "a")):
        assert "<b>" not in html
    assert figures.said("", "a") == "<p>a</p>"


def test_a_download_is_the_file_that_it_says():
    html = figures.download(b"abc", "application/octet-stream", "x.npy")
    assert content(html, "application/octet-stream") == [b"abc"]
    assert 'download="x.npy"' in html


def test_the_place_of_a_picture_is_a_line_in_the_histogram_wherever_it_is():
    scores = torch.tensor([0.1, 0.2, 0.2, 0.4])
    for place in (0.05, 0.3, 9.0):
        figure = draw_place(scores, place, "yours", "4 digits")
        (axes,) = figure.axes
        (line,) = axes.lines
        assert set(line.get_xdata()) == {place}
        low, high = axes.get_xlim()
        assert low <= place <= high
        assert sum(bar.get_height() for bar in axes.patches) == 1
        assert content(figures.drawn(figure, "x"), "image/svg+xml")[0].startswith(b"<?xml")
