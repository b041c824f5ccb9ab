from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn_lit.config import compose
from pixelcnn_lit.data.images import OWN, as_levels
from pixelcnn_lit.data.quantise import quantise
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.masks import visible_beside
from pixelcnn_lit.page.sketch import LIFTED, read
from pixelcnn_lit.pictures import HIDDEN

GREY = compose(["data=digits", "data.levels=4"]).data
WHITE, BLUE, CLEAR = (255, 255, 255, 255), (*HIDDEN, 255), (0, 0, 0, 0)


def layer(*strokes, size=(280, 280)):
    """A layer of paint: each stroke is a box (left, top, right, bottom) in a colour."""
    paint = Image.new("RGBA", size, CLEAR)
    for box, colour in strokes:
        paint.paste(colour, box)
    return paint


def rows_of(known):
    return known.all(1).tolist()


def test_a_sketch_is_shrunk_to_the_images_and_hidden_from_where_the_pen_was_lifted():
    sketch = read(None, [layer(((100, 50, 120, 140), WHITE))], GREY, "below", inverted=False)
    assert sketch.x.shape == (1, 1, 28, 28)
    assert sketch.x.dtype == torch.uint8
    assert rows_of(sketch.known) == [row < 14 - LIFTED for row in range(28)]
    assert (sketch.x[0, 0, 6:13, 10:12] == 3).all()
    assert int((sketch.x[0, 0] == 3).sum()) == 9 * 2


@pytest.mark.parametrize("side", ["bottom", "top", "left", "right"])
def test_a_half_is_hidden_beside_what_is_painted_blue(side):
    sketch = read(None, [layer(((0, 130, 20, 150), BLUE))], GREY, side, inverted=False)
    expected = visible_beside(side, 28, 28)
    expected[13:15, 0:2] = False
    assert sketch.known.equal(expected)


def test_blue_paint_hides_and_paint_over_it_shows_again():
    strokes = ((50, 50, 150, 150), BLUE), ((50, 50, 100, 150), WHITE)
    for layers in ([layer(*strokes)], [layer(strokes[0]), layer(strokes[1])]):
        sketch = read(Image.new("RGB", (280, 280), "black"), layers, GREY, "none", inverted=False)
        hidden = torch.zeros(28, 28, dtype=torch.bool)
        hidden[5:15, 10:15] = True
        assert sketch.known.equal(~hidden)
        assert (sketch.x[0, 0, 6:14, 6:9] == 3).all()


def test_of_a_pixel_that_is_hidden_in_part_the_larger_part_counts():
    sketch = read(None, [layer(((0, 0, 16, 10), BLUE))], GREY, "none", inverted=False)
    assert (~sketch.known).nonzero().tolist() == [[0, 0], [0, 1]]
    sketch = read(None, [layer(((0, 0, 14, 10), BLUE))], GREY, "none", inverted=False)
    assert (~sketch.known).nonzero().tolist() == [[0, 0]]


def test_an_upload_is_cut_to_the_form_of_the_images_with_its_paint():
    picture = np.random.default_rng(0).integers(0, 256, (28, 56), dtype=np.uint8)
    paint = layer(((0, 0, 15, 28), BLUE), size=(56, 28))
    sketch = read(Image.fromarray(picture), [paint], GREY, "none", inverted=False)
    np.testing.assert_array_equal(sketch.x[0, 0, :, 1:], quantise(picture[:, 15:42], 4))
    assert (~sketch.known).nonzero().tolist() == [[row, 0] for row in range(28)]
    inverted = read(Image.fromarray(picture), [paint], GREY, "none", inverted=True)
    np.testing.assert_array_equal(inverted.x[0, 0, :, 1:], quantise(255 - picture[:, 15:42], 4))


def test_a_binarised_model_gets_pixels_that_are_drawn_once_and_one_in_colour_three_channels():
    binarised = compose(["data=digits", "data.levels=2", "data.binarize=dynamic"]).data
    picture = np.full((28, 28), 128, dtype=np.uint8)
    sketch = read(Image.fromarray(picture), [], binarised, "bottom", inverted=False)
    np.testing.assert_array_equal(sketch.x, as_levels(picture[None, None], binarised, OWN))
    assert 200 < int(sketch.x.sum()) < 600
    colour = compose(["data=cifar10"]).data
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    sketch = read(Image.fromarray(pixels), [], colour, "top", inverted=False)
    np.testing.assert_array_equal(sketch.x[0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("layers", "part", "message"),
    [
        ([], "none", "nothing is hidden"),
        ([], "below", "nothing is drawn yet"),
        ([], "bottom", "the canvas is empty: sketch on it, or upload a picture"),
        ([layer()], "bottom", "the canvas is empty"),
        ([layer(((0, 0, 280, 280), BLUE))], "below", "nothing is drawn yet"),
    ],
)
def test_where_nothing_is_to_be_completed_a_sentence_says_what_to_do(layers, part, message):
    with pytest.raises(UserError, match=message):
        read(None, layers, GREY, part, inverted=False)
