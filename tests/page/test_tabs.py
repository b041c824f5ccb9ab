"""What the tabs answer, without a browser."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import tiny_density
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page import compare_tab, draw_tab, sample_tab, score_tab
from pixelcnn_lit.page.answers import in_sentences, readable
from pixelcnn_lit.page.blocks import build
from pixelcnn_lit.page.knobs import seed_knob, seed_of, temperature_of, whole
from pixelcnn_lit.page.models import Model
from pixelcnn_lit.page.scores import Reference, bits
from pixelcnn_lit.pictures import as_rgb, with_hidden

SIZE = (6, 5)


def tiny(name="tiny", levels=4, **options):
    overrides = ["model.n_res=1", "model.hidden=4", f"data.levels={levels}", "data.image_shape=[1,6,5]"]
    return Model(name, tiny_density(levels, size=SIZE, **options), compose(overrides))


class Known:
    """Test images that are at hand."""

    def of(self, model):
        images = torch.zeros(3, 1, *SIZE, dtype=torch.uint8)
        return Reference(bits(model.density, images).mean((1, 2)), images, "3 black images")


class Unknown:
    def of(self, model):
        raise UserError("data.dir=x: not there")


def pictures_in(html):
    """The images of a text of HTML, as arrays."""
    files = re.findall(r'src="data:image/png;base64,([^"]*)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(file)))) for file in files]


def saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return str(path)


def test_draw_shows_what_is_given_then_eight_completions_row_by_row_then_their_bits():
    model = tiny()
    paint = Image.new("RGBA", (50, 60), (0, 0, 0, 0))
    paint.paste((255, 255, 255, 255), (10, 0, 20, 30))
    canvas = {"background": None, "layers": [paint], "composite": None}
    first, *steps = draw_tab.answer({"tiny": model})("tiny", canvas, "the lower half", False, 3, 1)
    x = torch.zeros(1, 1, *SIZE, dtype=torch.uint8)
    x[:, :, :3, 1] = 3
    known = torch.arange(6)[:, None].expand(6, 5) < 3
    (given,) = pictures_in(first[0])
    np.testing.assert_array_equal(given, with_hidden(as_rgb(x, 4), known)[0])
    assert "tiny: all 15 known pixels condition the drawn ones." in first[0]
    drawn = model.density.complete(x.expand(8, -1, -1, -1), known, 3)
    for step, image in zip(pictures_in(steps[-1][1]), as_rgb(drawn, 4), strict=True):
        np.testing.assert_array_equal(step, image)
    assert steps[-1][1].count("bits drawn") == 16, "in the caption and for who cannot see it"
    assert "row 0 of 3" in steps[0][1]
    assert len(steps) > 2


def test_a_region_that_comes_before_known_pixels_is_told():
    canvas = {"background": Image.new("RGB", (5, 6), "grey"), "layers": [], "composite": None}
    first, *_ = draw_tab.answer({"tiny": tiny()})("tiny", canvas, "the upper half", False, 0, 1)
    assert "15 of 15 known pixels come after an unknown one" in first[0]
    assert "A model with model.orders=4, or model=lmconv, uses all" in first[0]
    first, *steps = draw_tab.answer({"tiny": tiny(orders=4)})("tiny", canvas, "the upper half", False, 0, 1)
    assert "all 15 known pixels condition" in first[0]
    assert "bits drawn" in steps[-1][1]


def test_sample_gives_the_images_of_the_seed_and_files_of_them():
    model = tiny(n_classes=3)
    *_, last = sample_tab.answer({"tiny": model})("tiny", 4, 7, 0.5, 6, 8, "2")
    drawn = model.density.sample(4, 7, 2, size=(6, 8), temperature=0.5)
    (levels,) = re.findall(r"data:application/octet-stream;base64,([^\"]*)", last[1])
    np.testing.assert_array_equal(np.load(io.BytesIO(base64.b64decode(levels))), drawn)
    mean = float(bits(model.density, drawn).mean())
    assert f"4 samples of tiny, class 2: {mean:.4f} bits/dim in the mean" in last[1]
    (film,) = re.findall(r"data:image/gif;base64,([^\"]*)", last[1])
    with Image.open(io.BytesIO(base64.b64decode(film))) as frames:
        assert frames.n_frames == 7


def test_sample_draws_a_row_of_each_class():
    model = tiny(n_classes=3)
    assert sample_tab.classes(model.density, 7, "each").tolist() == [0, 0, 1, 1, 2, 2]
    assert sample_tab.classes(model.density, 7, "any") is None
    assert sample_tab.classes(tiny().density, 7, "any") is None
    for label, message in (("each", "needs 3 images or more"), ("x", "class=x: must be one of")):
        with pytest.raises(UserError, match=message):
            sample_tab.classes(model.density, 2, label)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((65, 0, 1, 6, 5, "any"), "images=65: must be an integer from 1 to 64"),
        ((1, 1.5, 1, 6, 5, "any"), "seed=1.5: must be an integer from 0 to 4294967295"),
        ((1, None, 1, 6, 5, "any"), "seed is empty: must be an integer from 0 to 4294967295"),
        ((1, 0, None, 6, 5, "any"), "temperature is empty: must be a number from 0 to 2"),
        ((1, -1, 1, 6, 5, "any"), "seed=-1: must be an integer from 0 to 4294967295"),
        ((1, 0, 3, 6, 5, "any"), "temperature=3: must be a number from 0 to 2"),
        ((1, 0, 1, 10**9, 5, "any"), "height=1000000000: must be an integer from 1 to 64"),
        ((1, 0, 1, 6, None, "any"), "width is empty: must be an integer from 1 to 64"),
    ],
)
def test_numbers_that_no_knob_gives_are_refused(arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        list(sample_tab.answer({"tiny": tiny()})("tiny", *arguments))


def test_numbers_are_what_they_say():
    assert (seed_of(5.0), temperature_of(1), whole("n", 3, 1, 4)) == (5, 1.0, 3)
    for value in (True, "1", float("nan"), float("inf"), 1.5, None, [1]):
        with pytest.raises(UserError, match="must be an integer"):
            seed_of(value)
    for value in (True, "1", float("nan"), -0.1, None):
        with pytest.raises(UserError, match="must be a number"):
            temperature_of(value)


def test_score_shows_the_bits_of_each_pixel_and_the_place_among_test_images(tmp_path):
    model = tiny()
    pixels = np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)
    answer = score_tab.answer({"tiny": model}, Known())
    first, last = answer("tiny", saved(tmp_path / "a.png", pixels), False)
    x = torch.from_numpy(np.minimum(pixels.astype(int) * 4 // 255, 3)).to(torch.uint8)[None, None]
    image, heat, _ = pictures_in(first[0])
    np.testing.assert_array_equal(image, as_rgb(x, 4)[0])
    each = bits(model.density, x)[0]
    assert f"{float(each.mean()):.4f} bits/dim" in first[0]
    row, column = divmod(int(each.argmax()), 5)
    assert f"The pixel that costs most is in row {row}, column {column}" in first[0]
    assert heat.sum(-1).argmax() == each.argmax()
    assert "The histogram is of 3 black images." in last[1]
    assert "3 images cost as many bits or more" in last[1]


def test_score_of_a_picture_of_another_size_says_what_was_done_to_it(tmp_path):
    answer = score_tab.answer({"tiny": tiny()}, Unknown())
    first, last = answer("tiny", saved(tmp_path / "a.png", np.zeros((12, 30), dtype=np.uint8)), True)
    assert "30x12 pixels; its middle is resized." in first[0]
    assert (pictures_in(first[0])[0] == 255).all(), "black and white are swapped"
    assert "There is no histogram: data.dir=x: not there." in last[1]


def test_what_is_no_picture_is_a_sentence_without_the_place_of_a_file(tmp_path):
    answer = in_sentences(score_tab.answer({"tiny": tiny()}, Known()), 2)
    (tmp_path / "a.png").write_text("no picture")
    for path, message in (
        (None, "no picture yet: upload a PNG or JPEG file, or paste one"),
        (str(tmp_path / "a.png"), "this picture cannot be read as a PNG or JPEG image"),
    ):
        *_, last = answer("tiny", path, False)
        assert last == (f'<p class="wrong" role="alert">{message}</p>', ""), "and nothing of an answer before"


def test_an_upload_that_gradio_cannot_read_is_a_sentence_too():
    component = readable(gr.Image(type="filepath", render=False))
    given = component.preprocess(gr.data_classes.ImageData(path=__file__, orig_name="a.png"))
    ((sentence, nothing),) = in_sentences(score_tab.answer({"tiny": tiny()}, Known()), 2)("tiny", given, False)
    assert "this cannot be read as a picture" in sentence
    assert nothing == ""


def test_a_seed_is_read_as_it_stands_in_its_field():
    with gr.Blocks():
        knob = seed_knob()
    assert [knob.preprocess(value) for value in (1.5, -1, 2**32, None)] == [1.5, -1, 2**32, None]


def test_compare_shows_both_and_says_which_has_fewer_bits():
    left, right = tiny("a"), tiny("b", network="gated_pixelcnn")
    models = {"a": left, "b": right}
    *_, middle, last = compare_tab.answer(models, Known())("a", "b", 5, 1, None, False)
    for model, html in ((left, middle[1]), (right, middle[2])):
        for image, expected in zip(pictures_in(html), as_rgb(model.density.sample(8, 5), 4), strict=True):
            np.testing.assert_array_equal(image, expected)
    means = [Known().of(model).mean for model in (left, right)]
    better = "left" if means[0] < means[1] else "right"
    assert f"The {better} model has {abs(means[0] - means[1]):.4f} bits/dim less on the same test images." in last[0]


WHITE = re.compile(r"white (\d+\.\d+)")
"""What the colour white stands for, below a map."""


def test_maps_of_two_models_have_one_scale(tmp_path):
    models = {"a": tiny("a"), "b": tiny("b", network="gated_pixelcnn")}
    path = saved(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8))
    alone = [WHITE.findall(next(score_tab.answer(models, Known())(name, path, False))[0]) for name in models]
    *_, middle, _ = compare_tab.answer(models, Known())("a", "b", 0, 1, path, False)
    together = [WHITE.findall(html) for html in middle[1:]]
    assert alone[0] != alone[1]
    assert together[0] == together[1] == max(alone, key=lambda found: float(found[0]))


def test_models_of_other_levels_are_not_compared(tmp_path):
    models = {"a": tiny("a"), "b": tiny("b", levels=2)}
    path = saved(tmp_path / "a.png", np.zeros(SIZE, dtype=np.uint8))
    *_, middle, last = compare_tab.answer(models, Unknown())("a", "b", 0, 1, path, False)
    assert WHITE.findall(middle[1]) != WHITE.findall(middle[2])
    assert last[0] == "<p>Their bits do not compare: their levels are 4 and 2.</p>"
    assert middle[2].count("as the model sees it") == 2
    assert "No test images: data.dir=x: not there." in middle[1]


def test_a_model_beside_itself_has_no_fewer_bits():
    models = {"a": tiny("a")}
    *_, last = compare_tab.answer(models, Known())("a", "a", 0, 1, None, False)
    assert last[0] == "<p>Both have the same bits/dim on the same test images.</p>"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ([], None),
        (["data.levels=2"], "their levels are 4 and 2"),
        (["data.levels=2", "data.binarize=dynamic"], "their levels are 4 and 2"),
        (["data.image_shape=[1,5,5]"], r"their images are of \[1, 6, 5\] and \[1, 5, 5\]"),
    ],
)
def test_what_does_not_compare_is_said_why(change, reason):
    other = replace(tiny("b"), trained=compose(["data.levels=4", "data.image_shape=[1,6,5]", *change]))
    told = compare_tab.why_apart(tiny("a"), other)
    assert told is None if reason is None else re.match(reason, told)


def test_binarised_images_and_images_of_two_levels_do_not_compare():
    two = replace(tiny("a", 2), trained=compose(["data.levels=2"]))
    binarised = replace(two, trained=compose(["data.levels=2", "data.binarize=dynamic"]))
    assert "the images of one are binarised at random" in compare_tab.why_apart(two, binarised)


def test_the_page_is_built_for_models_with_and_without_classes():
    page = build({"a": tiny("a"), "b": tiny("b", n_classes=2)}, Known())
    labels = [getattr(block, "label", None) for block in page.blocks.values()]
    assert {"Draw", "Sample", "Score", "Compare", "Canvas"} <= set(labels)
    assert all(function.api_visibility == "private" for function in page.fns.values())
