from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixelcnn_lit.analysis.given import own_image, picture_size, tell_changes
from pixelcnn_lit.errors import UserError


def test_a_picture_is_cut_to_the_form_of_the_images_whatever_it_is(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 12), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    path = str(tmp_path / "wide.png")
    image = own_image(path, (1, 6, 4))
    assert capsys.readouterr().out == ""
    tell_changes(path, image, (1, 6, 4))
    np.testing.assert_array_equal(image.pixels[0], pixels[:, 4:8])
    assert "12x6 pixels; the part of the form 4x6 in its middle is resized to 4x6" in capsys.readouterr().out
    image = own_image(path, (3, 6, 12))
    tell_changes(path, image, (3, 6, 12))
    np.testing.assert_array_equal(image.pixels, [pixels] * 3)
    assert capsys.readouterr().out == ""


def test_a_model_of_other_channels_reads_no_pictures(tmp_path):
    with pytest.raises(UserError, match=r"image=a.png: the model.s images have 2 channels"):
        own_image("a.png", (2, 4, 4))


def test_the_size_of_what_is_no_picture_is_unknown(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    assert picture_size(str(tmp_path / "text.png")) is None
