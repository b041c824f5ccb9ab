"""The loss of images that were drawn: the mean over each draw, against the sum over all images that could have been."""

from __future__ import annotations

import itertools

import pytest
import torch

from helpers.builders import spread_out
from pixelcnn_lit.any_order import AnyOrder
from pixelcnn_lit.config import compose
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.orders import ManyOrders

SIZE = (2, 2)
NETWORKS = {
    "raster": ["model.hidden=4"],
    "colour": ["model.hidden=6", "likelihood=categorical", "data=npz", "data.path=none", "data.image_shape=[2,2,2]"],
    "coupled by the likelihood": [
        *("model=pixelcnn_pp", "model.hidden=4", "likelihood=logistic_mixture", "likelihood.n_mix=2"),
        *("model.resolutions=1", "model.dropout=0", "data=npz", "data.path=none", "data.image_shape=[2,2,2]"),
    ],
    "classes": ["model.hidden=4", "model.n_classes=10"],
    "scans": ["model.hidden=4", "model.orders=8"],
    "scans of classes": ["model.hidden=4", "model.orders=2", "model.n_classes=10"],
    "any order": ["model=lmconv", "model.hidden=4", "model.orders=4", "model.holes=0.5"],
}


def mean_loss(density, images, chances, told, seed):
    """The mean of the training loss over all images, each as probable as the chances of its pixels make it."""
    probability = torch.where(images == 1, chances, 1 - chances).flatten(1).prod(1)
    losses = []
    for x in images.split(1 if isinstance(density, ManyOrders | AnyOrder) else len(images)):
        torch.manual_seed(seed)  # the same scan for each
        y = torch.ones(len(x), dtype=torch.long)
        losses.append(density(x, y, None, *([chances.expand(x.shape)] if told else [])))
    return torch.einsum("n,n...->...", probability, torch.cat(losses))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_mean_over_the_draw_of_a_pixel_has_the_loss_and_gradient_of_the_draws(name, seed):
    config = compose(["data=digits", "model.n_res=1", "data.levels=2", *NETWORKS[name]])
    density = spread_out(build_density(config)).double().train()
    channels = density.image_shape[0]
    size = channels * SIZE[0] * SIZE[1]
    images = torch.tensor(list(itertools.product((0, 1), repeat=size)), dtype=torch.uint8).view(-1, channels, *SIZE)
    chances = torch.rand(1, channels, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    weights = [weight for weight in density.parameters() if weight.requires_grad]
    results = []
    for told in (False, True):
        loss = mean_loss(density, images, chances, told, seed)
        results.append((loss.detach(), torch.autograd.grad(loss.sum(), weights, allow_unused=True)))
    (drawn, of_drawn), (expected, of_expected) = results
    assert torch.allclose(drawn, expected)
    for one, other in zip(of_drawn, of_expected, strict=True):
        assert (one is None and other is None) or torch.allclose(one, other)


def test_certain_chances_give_the_loss_of_the_image():
    density = spread_out(build_density(compose(["data=digits", "model.n_res=1", "model.hidden=4", "data.levels=2"])))
    x = torch.randint(2, (5, 1, 4, 4), dtype=torch.uint8)
    assert torch.allclose(density(x), density(x, None, None, x.float()), atol=1e-6)


def test_the_mean_over_the_draw_of_more_than_two_levels_is_refused():
    density = build_density(compose(["data=digits", "model.n_res=1", "model.hidden=4", "data.levels=4"]))
    x = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="both levels: this density has 4"):
        density(x, None, None, x.float())
