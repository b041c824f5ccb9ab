"""What a network sees of a level: a number in order, or a learned vector."""

from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.nn.inputs import Embedded, Scaled, level_type


@pytest.mark.parametrize("levels", [2, 256, 257, 2**15, 2**15 + 1, 2**16])
def test_a_type_has_room_for_all_levels(levels):
    last = torch.tensor(levels - 1).to(level_type(levels))
    assert int(last) == levels - 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [3, 256, 300])
@pytest.mark.parametrize("kind", ["scaled", "embedded"])
def test_a_pixel_is_written_as_it_is_seen_in_an_image(levels, kind, dtype):
    inputs = Scaled(levels=levels) if kind == "scaled" else Embedded(levels=levels, features=5).to(dtype)
    x = torch.randint(levels, (4, 1, 2, 3)).to(level_type(levels))
    seen = inputs(x, dtype)
    assert seen.shape == (4, inputs.features, 2, 3)
    for row in range(2):
        for column in range(3):
            out = torch.empty(4, inputs.features, dtype=dtype)
            inputs.write(x[:, 0, row, column], out)
            assert torch.equal(out, seen[:, :, row, column])


def test_codes_have_no_order():
    """Any two levels may be as far apart as they like: their vectors are learned, each its own."""
    inputs = Embedded(levels=5, features=2)
    seen = inputs(torch.tensor([[[[1, 4]]]], dtype=torch.uint8))
    seen.square().sum().backward()
    moved = inputs.weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [False, True, False, False, True]


def test_colours_are_not_embedded():
    with pytest.raises(ValueError, match="one channel, not 3"):
        Embedded(levels=4, features=2)(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
