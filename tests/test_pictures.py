from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import tiny_density
from pixelcnn_lit import pictures


def test_a_grid_shows_each_image_in_its_place():
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(3, axis=-1) * 100
    sheet = pictures.grid(images, columns=2, scale=1)
    assert sheet.shape == (5, 5, 3)
    assert [tuple(sheet[1, 1]), tuple(sheet[1, 3]), tuple(sheet[3, 1])] == [(0,) * 3, (100,) * 3, (200,) * 3]
    assert tuple(sheet[3, 3]) == tuple(sheet[0, 0]) == pictures.PAPER


def test_three_channels_are_red_green_and_blue():
    x = torch.zeros(1, 3, 1, 4, dtype=torch.uint8)
    for channel in range(3):
        x[0, channel, 0, channel] = 3
    x[0, :, 0, 3] = torch.tensor([1, 2, 3])
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [85, 170, 255]]
    np.testing.assert_array_equal(pictures.as_rgb(x, levels=4)[0, 0], expected)
    sheet = pictures.sample_grid(x, levels=4, scale=1)
    np.testing.assert_array_equal(sheet[1, 1:5], expected)


def test_pixels_are_enlarged():
    images = np.full((1, 2, 3, 3), 255, dtype=np.uint8)
    assert pictures.grid(images, columns=8, scale=4).shape == (16, 20, 3)


@pytest.mark.parametrize(("channels", "n"), [(1, 5), (3, 16), (4, 9)])
def test_completions_show_original_given_and_result(channels, n):
    x = torch.randint(0, 4, (n, channels, 6, 5))
    known = torch.zeros(6, 5, dtype=torch.bool)
    known[:3] = True
    picture = pictures.completion_grid(x, known, x, levels=4, scale=1)
    bands = 3 * -(-n // 8)
    assert picture.shape == (bands * 7 + 1, min(n, 8) * 6 + 1, 3)
    assert tuple(picture[1 + 7 + 3, 1]) == pictures.HIDDEN
    assert (picture[1:7, 1:6] == picture[15:21, 1:6]).all()


def test_a_picture_is_a_png_that_opens(tmp_path):
    picture = pictures.sample_grid(torch.randint(0, 2, (70, 1, 7, 7)), levels=2, scale=2)
    pictures.save_png(tmp_path / "new" / "grid.png", picture)
    with Image.open(tmp_path / "new" / "grid.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_rows_of_classes_begin_with_their_names():
    x = torch.randint(0, 2, (4, 1, 7, 7))
    plain = pictures.sample_grid(x, levels=2, scale=4, rows=2)
    named = pictures.sample_grid(x, levels=2, scale=4, rows=2, names=["cat", "a name that is much too long for a row"])
    margin = named.shape[1] - plain.shape[1]
    np.testing.assert_array_equal(named[:, margin:], plain)
    for row in (named[:32, :margin], named[32:, :margin]):
        assert (row != pictures.PAPER).any()


def test_ones_own_pictures_are_shown_with_what_was_given_and_the_completions_between():
    original, completed = torch.zeros(2, 1, 2, 2).long(), torch.ones(6, 1, 2, 2).long()
    known = torch.tensor([[True, True], [False, False]])
    pixels = pictures.as_rgb(original, levels=2)
    picture = pictures.own_grid(pixels, pictures.with_hidden(pixels, known), completed, levels=2, scale=1)
    assert picture.shape == (2 * 3 + 1, 5 * 3 + 1, 3)
    assert tuple(picture[2, 1]) == pictures.HIDDEN
    assert picture[1, 4::3].tolist() == [[255] * 3] * 3 + [[0] * 3]


def test_a_context_is_shown_as_large_as_its_image_in_grey_or_in_colour():
    grey, colour = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert pictures.context_as_rgb(grey, (2, 4)).tolist() == [[[[0] * 3] * 2 + [[255] * 3] * 2] * 2]
    assert pictures.context_as_rgb(colour, (1, 2)).tolist() == [[[[255, 0, 0]] * 2]]


def test_a_map_of_bits_is_black_where_a_pixel_costs_nothing_and_white_where_the_most():
    shown = pictures.heat(np.array([[[0.0, 0.25, 0.375, 1.0]]]))
    middle = (np.array(pictures.HEAT[1]) + pictures.HEAT[2]) / 2
    np.testing.assert_array_equal(shown[0, 0], np.array([pictures.HEAT[0], pictures.HEAT[1], middle, pictures.HEAT[4]]))


@pytest.mark.parametrize("n_classes", [None, 2])
def test_maps_of_bits_lie_below_their_images(n_classes):
    density = tiny_density(4, channels=3, n_classes=n_classes)
    x = torch.randint(0, 4, (10, 3, 4, 5))
    picture = pictures.draw_bits(density, (x, torch.zeros(10).long()), scale=1)
    assert picture.shape == (4 * 5 + 1, 8 * 6 + 1, 3)
    np.testing.assert_array_equal(picture[1:5, 1:6], pictures.as_rgb(x, 4)[0])
    with torch.no_grad():
        costliest = density.nats(x).sum(1).argmax()
    image, place = divmod(int(costliest), 20)
    band, column = divmod(image, 8)
    row = 1 + (2 * band + 1) * 5 + place // 5
    assert tuple(picture[row, 1 + 6 * column + place % 5]) == pictures.HEAT[-1]
    assert tuple(picture[15 + 1, -2]) == pictures.PAPER


def test_a_drawing_goes_from_nothing_to_all_row_by_row(tmp_path):
    x = torch.randint(0, 4, (5, 1, 6, 4))
    when = torch.arange(1, 7)[:, None].expand(5, 6, 4) / 6
    grids = pictures.drawing(x, when, levels=4, scale=2)
    assert len(grids) == 7
    hidden = torch.zeros(6, 4, dtype=torch.bool)
    for row, picture in enumerate(grids):
        hidden[:row] = True
        expected = pictures.grid(pictures.with_hidden(pictures.as_rgb(x, 4), hidden), 8, 2)
        np.testing.assert_array_equal(picture, expected)
    pictures.save_gif(tmp_path / "new" / "x.gif", grids)
    with Image.open(tmp_path / "new" / "x.gif") as film:
        assert film.n_frames == 7
        film.seek(6)
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), pictures.sample_grid(x, 4, 2))


def test_known_pixels_are_there_from_the_start_and_each_image_has_its_own_time():
    x, when = torch.ones(2, 1, 5, 4, dtype=torch.uint8), torch.zeros(2, 5, 4)
    when[0, 2, 1:], when[0, 3, 1:] = 0.5, 1
    when[1, 4, :] = 1
    first, middle, last = pictures.drawing(x, when, levels=2, scale=1)
    blue = lambda picture: int((picture == pictures.HIDDEN).all(-1).sum())  # noqa: E731
    assert [blue(first), blue(middle), blue(last)] == [10, 7, 0]
    (all_known,) = pictures.drawing(x, 0 * when, levels=2, scale=1)
    assert blue(all_known) == 0


def test_a_large_image_has_no_more_frames_than_a_film_needs():
    when = torch.arange(1, 301)[None, :, None].expand(1, 300, 2) / 300
    grids = pictures.drawing(torch.zeros(1, 1, 300, 2, dtype=torch.uint8), when, levels=2, scale=1)
    assert len(grids) == pictures.FRAMES + 1
    np.testing.assert_array_equal(grids[-1], pictures.sample_grid(torch.zeros(1, 1, 300, 2), 2, 1))


def test_a_picture_of_many_images_stays_small():
    widths = {n: pictures.columns_of(n) * 29 * pictures.default_scale(28, pictures.columns_of(n)) for n in (8, 64, 500)}
    assert all(600 < width < 1100 for width in widths.values())
    assert pictures.columns_of(10_000) == 100
    assert pictures.default_scale(28, 100) == 1
