from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.holes import random_known, rectangles, scattered, strokes


@pytest.mark.parametrize("make", [rectangles, strokes, scattered])
@pytest.mark.parametrize("size", [(28, 28), (6, 9), (1, 1)])
def test_holes_differ_and_depend_on_the_generator_alone(make, size):
    first, again = (make(200, *size, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (200, *size)
    assert torch.equal(first, again)
    share = first.float().mean((1, 2))
    assert size == (1, 1) or len(share.unique()) > 10
    assert first.any(0).all(), "a place that is never hidden"


def test_a_rectangle_is_one():
    for hole in rectangles(50, 7, 9, torch.Generator().manual_seed(0)):
        rows, columns = hole.any(1), hole.any(0)
        assert hole.sum() == rows.sum() * columns.sum() > 0
        assert rows.int().diff().abs().sum() <= 2


def test_a_stroke_is_connected_and_takes_less_than_the_image():
    for hole in strokes(50, 28, 28, torch.Generator().manual_seed(0)):
        grown, reached = torch.zeros_like(hole), torch.zeros_like(hole)
        reached.view(-1)[hole.flatten().nonzero()[0]] = True
        while not torch.equal(grown, reached):
            grown = reached
            near = torch.nn.functional.max_pool2d(grown[None].float(), 3, 1, 1)[0] > 0
            reached = near & hole
        assert torch.equal(reached, hole)
        assert 0 < hole.float().mean() < 0.9


def test_all_kinds_are_drawn():
    known = random_known(300, 12, 12, torch.Generator().manual_seed(1))
    hidden = ~known
    boxes = hidden.sum((1, 2)) == hidden.any(2).sum(1) * hidden.any(1).sum(1)
    assert 60 < boxes.sum() < 160
    assert 0.2 < known.float().mean() < 0.8
