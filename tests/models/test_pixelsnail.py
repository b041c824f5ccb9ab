from __future__ import annotations

from pixelcnn_lit import build
from pixelcnn_lit.models import PixelSNAIL


def count(density):
    return sum(p.numel() for p in density.parameters())


def test_the_default_has_the_size_of_pytorch_generatives_network():
    """Theirs, in pytorch_generative/models/autoregressive/pixel_snail.py, with its defaults, counted by hand."""
    hidden, key, value, blocks = 64, 4, 32, 8
    gated = (4 * hidden * hidden + hidden) + (4 * hidden * 2 * hidden + 2 * hidden)
    query, both = (hidden + 2 + 1) * key, (hidden + 2 + 1 + 1) * (key + value)
    mixing = 2 * (hidden * hidden + hidden) + (value * hidden + hidden)
    projection = value * value + value
    block = 2 * gated + query + both + mixing
    head = (hidden * 32 + 32) + (32 + 1)
    theirs = (9 * hidden + hidden) + blocks * (block + projection) + head
    assert theirs == 905_889
    # Ours: four taps of the first layer in place of nine, no projection after the only head, a head of one layer.
    ours = (4 * hidden + hidden) + blocks * block + (hidden * 2 + 2)
    assert count(build(["model=pixelsnail", "data.levels=2"])) == ours


def test_the_papers_network_on_cifar10():
    """The paper gives sizes, not the count: 12 blocks of 4 gated blocks, 256 features, keys of 16, values of 128."""
    overrides = ["model=pixelsnail_cifar10", "likelihood=logistic_mixture", "data=cifar10"]
    density = build(overrides)
    assert isinstance(density.network, PixelSNAIL)
    gated = (4 * 256 * 256 + 256) + (4 * 256 * 512 + 512)
    block = 4 * gated + (256 + 3) * 16 + (256 + 3 + 3) * (16 + 128) + 2 * (256 * 256 + 256) + (128 * 256 + 256)
    outputs = density.likelihood.n_params(3)
    assert count(density) == (3 * 4 * 256 + 256) + 12 * block + (256 * outputs + outputs)
