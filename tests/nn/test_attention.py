"""Attention to all earlier pixels."""

from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.nn.attention import CausalAttention, coordinates
from pixelcnn_lit.nn.cursor import Cursor

SIZE = (5, 4)


def layer(**sizes):
    torch.manual_seed(0)
    options = {"features": 6, "image_channels": 3, "heads": 2, "key_size": 3, "value_size": 4, "groups": 1, **sizes}
    return CausalAttention(**options)


def plain(attention, x, image):
    """The formula, pixel by pixel: a softmax over nothing, whose key and value are 0, and all earlier pixels."""
    n, _, height, width = x.shape
    places = coordinates(height, width, x).expand(n, -1, -1, -1)
    first = x[:, : attention.query_features]
    query = attention.query(torch.cat([first, places], 1).permute(0, 2, 3, 1)).flatten(1, 2)
    both = attention.key_value(torch.cat([x, image, places], 1).permute(0, 2, 3, 1)).flatten(1, 2)
    query, both = query.unflatten(2, (attention.heads, -1)), both.unflatten(2, (attention.heads, -1))
    key, value = both.split([attention.key_size, attention.value_size], dim=3)
    out = torch.zeros(n, height * width, attention.heads, attention.value_size)
    for i in range(height * width):
        scores = torch.einsum("nhk,njhk->njh", query[:, i], key[:, :i]) / attention.key_size**0.5
        weights = torch.cat([torch.zeros(n, 1, attention.heads), scores], 1).softmax(1)[:, 1:]
        out[:, i] = torch.einsum("njh,njhv->nhv", weights, value[:, :i])
    return out.flatten(2).transpose(1, 2).unflatten(2, (height, width))


@pytest.mark.parametrize("sizes", [{}, {"heads": 1}, {"key_size": 4}, {"key_size": 5}, {"groups": 3}], ids=str)
def test_the_result_is_that_of_the_formula(sizes):
    attention = layer(**sizes)
    x, image = torch.randn(2, 6, *SIZE), torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(attention(x, image), plain(attention, x, image), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [1, 3])
def test_a_pixel_sees_all_earlier_pixels_and_of_itself_the_first_group_alone(groups):
    attention = layer(groups=groups).double()
    x = torch.randn(1, 6, *SIZE, dtype=torch.double, requires_grad=True)
    image = torch.rand(1, 3, *SIZE, dtype=torch.double, requires_grad=True)
    out = attention(x, image).flatten(2)
    for i in range(out.shape[2]):
        of_x, of_image = torch.autograd.grad(out[:, :, i].sum(), (x, image), retain_graph=True)
        of_x, of_image = of_x.flatten(2)[0].abs(), of_image.flatten(2)[0].abs()
        assert (of_image[:, :i] > 0).all()
        assert not of_image[:, i:].any()
        assert (of_x[:, :i] > 0).all()
        assert not of_x[:, i + 1 :].any()
        assert not of_x[attention.query_features :, i].any()


@pytest.mark.parametrize("grows", [True, False], ids=["grows", "masked"])
@pytest.mark.parametrize("known", [0, 2])
def test_a_cursor_gives_the_result_of_whole_images_with_one_query_a_pixel(known, grows, monkeypatch):
    """As on a CPU and, with fixed shapes, as in a CUDA graph."""
    monkeypatch.setattr("pixelcnn_lit.nn.attention.views_may_grow", lambda device: grows)
    attention = layer()
    x, image = torch.randn(2, 6, *SIZE), torch.rand(2, 3, *SIZE)
    with torch.inference_mode():
        whole = attention(x, image)
        at = Cursor(attention, torch.empty(2), size=SIZE, image_channels=3)
        if known:
            at.enter("known")
            first = attention(x[:, :, :known], image[:, :, :known], at)
            torch.testing.assert_close(first, whole[:, :, :known])
            at.enter("pixel")
            at._skip(known)
        for row in range(known, SIZE[0]):
            at.start_row()
            for column in range(SIZE[1]):
                at.move_to(column)
                out = attention(x[:, :, row, column], image[:, :, row, column], at)
                torch.testing.assert_close(out, whole[:, :, row, column], rtol=1e-5, atol=1e-6)
                at.image.row[:, column] = image[:, :, row, column]
                at.end_pixel()


def test_a_pixel_multiplies_with_the_places_drawn_so_far_alone():
    """A weight of 0 for a value of NaN would give NaN."""
    attention = layer()
    with torch.inference_mode():
        at = Cursor(attention, torch.empty(2), size=SIZE, image_channels=3)
        cache = at.cache(attention)
        cache._keys[:, :, 1:], cache._values[:, 1:] = torch.nan, torch.nan
        for _ in range(SIZE[0]):
            at.start_row()
            for column in range(SIZE[1]):
                at.move_to(column)
                assert attention(torch.randn(2, 6), torch.rand(2, 3), at).isfinite().all()
                at.end_pixel()


def test_mixed_precision_does_not_round_the_image():
    """200 / 255 is no number of bfloat16."""
    attention = layer(image_channels=1)
    torch.nn.init.zeros_(attention.key_value.weight[:, :6].data)
    x, image = torch.zeros(1, 6, 1, 3), torch.full((1, 1, 1, 3), 200 / 255)
    seen = []
    attention._in_heads = lambda both: seen.append(both) or CausalAttention._in_heads(attention, both)
    with torch.autocast("cpu", torch.bfloat16):
        attention(x, image)
    mixed = seen.pop()
    attention(x, image)
    assert torch.equal(mixed, seen.pop())


def test_training_keeps_no_table_of_all_pairs_of_pixels():
    attention = layer(key_size=4, value_size=4)
    x = torch.randn(1, 6, 24, 24, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        attention(x, torch.rand(1, 3, 24, 24))
    assert max(kept) < 576 * 576 / 4
