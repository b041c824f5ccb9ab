from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.builders import dependence, tiny_density
from pixelcnn_lit import build
from pixelcnn_lit.models import PixelCNNpp
from pixelcnn_lit.models.pixelcnn_pp import GatedResnet


def pixelcnn_pp(**sizes: Any) -> PixelCNNpp:
    """One channel of two levels, but for what ``sizes`` say."""
    return PixelCNNpp(**{"image_channels": 1, "n_params": 2, "groups": 1, "dropout": 0.5, "n_classes": None, **sizes})


@given(
    n_res=st.integers(0, 2),
    resolutions=st.integers(1, 3),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 1000),
)
def test_an_output_depends_on_no_later_pixel(n_res, resolutions, size, seed):
    torch.manual_seed(seed)
    seen = dependence(pixelcnn_pp(n_res=n_res, hidden=3, resolutions=resolutions), *size)[0, :, :, 0] > 0
    assert not seen.view(size[0] * size[1], -1).triu().any()


def test_every_earlier_pixel_counts():
    torch.manual_seed(0)
    seen = dependence(pixelcnn_pp(n_res=2, hidden=4, resolutions=2), 8, 8)[0, :, :, 0].view(64, 64) > 0
    assert torch.equal(seen, torch.ones(64, 64, dtype=torch.bool).tril(-1))


def test_the_channels_of_a_pixel_are_seen_by_later_pixels_only():
    torch.manual_seed(0)
    network = pixelcnn_pp(image_channels=3, n_params=30, n_res=1, hidden=4, resolutions=2)
    seen = dependence(network, 3, 3, 3).sum((0, 3)).view(9, 9) > 0
    assert torch.equal(seen, torch.ones(9, 9, dtype=torch.bool).tril(-1))
    with pytest.raises(ValueError, match="needs a likelihood that couples the channels"):
        pixelcnn_pp(image_channels=3, n_params=6, groups=3, n_res=1, hidden=4, resolutions=2)


def test_a_black_image_differs_from_the_padding_around_it():
    torch.manual_seed(0)
    params = pixelcnn_pp(n_res=1, hidden=4, resolutions=1)(torch.zeros(1, 1, 5, 5))
    assert not torch.allclose(params[..., 0, 0], params[..., 4, 2])


def test_initialisation_standardises_every_layer():
    density = tiny_density(16, 3, n_res=1, hidden=6, size=(8, 8), network="pixelcnn_pp", n_mix=2, n_classes=2)
    x = torch.randint(0, 16, (16, 3, 8, 8))
    density.initialise(x, torch.arange(16) % 2)
    seen = {}
    for name, module in density.network.named_modules():
        if hasattr(module, "parametrizations"):
            module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        for block in density.network.modules():
            if isinstance(block, GatedResnet):
                block.second.class_bias.zero_()
    density.initialise(x, torch.arange(16) % 2)
    density(x, torch.arange(16) % 2)
    assert len(seen) > 20
    for name, out in seen.items():
        deviation, mean = torch.std_mean(out, dim=(0, 2, 3), unbiased=False)
        expected = 0.1 if name.endswith("second") else 1.0
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-3, rtol=0)
        torch.testing.assert_close(deviation, torch.full_like(deviation, expected), atol=1e-2, rtol=0)


def test_the_default_network_is_the_papers():
    """As counted from the authors' code (github.com/openai/pixel-cnn): weights, gains and biases of each layer.

    Theirs has one more convolution of the image, whose taps overlap ours: 4 channels of one tap, a gain and a bias.
    """
    f, mix = 160, 10

    def layer(inputs, outputs, taps):
        return inputs * outputs * taps + 2 * outputs

    def resnet(taps, aux):
        nin = layer(2 * aux, f, 1) if aux else 0
        return layer(2 * f, f, taps) + nin + layer(2 * f, 2 * f, taps)

    embed = layer(4, f, 6) + layer(4, f, 3) + layer(4, f, 2)
    way_in = 3 * 5 * (resnet(6, 0) + resnet(4, f)) + 2 * (layer(f, f, 6) + layer(f, f, 4))
    way_out = (5 + 6 + 6) * (resnet(6, f) + resnet(4, 2 * f)) + 2 * (layer(f, f, 6) + layer(f, f, 4))
    theirs = embed + way_in + way_out + layer(f, 10 * mix, 1)
    with torch.device("meta"):
        ours = build(["model=pixelcnn_pp", "likelihood=logistic_mixture", "data=cifar10"])
    assert sum(p.numel() for p in ours.parameters()) == theirs - (4 * f + 2 * f)
