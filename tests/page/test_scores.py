from __future__ import annotations

import math

import hydra
import pytest
import torch

from helpers.builders import all_images, tiny_density, write_mnist
from pixelcnn_lit.config import DemoConfig, check, compose, conf_dir
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page import scores
from pixelcnn_lit.page.models import Model, models

SMALL = ["model.n_res=1", "model.hidden=4", "data.levels=2"]


def demo(*overrides):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return check(hydra.compose("demo", list(overrides)), DemoConfig)


def model_of(*overrides):
    trained = compose([*SMALL, *overrides])
    return Model("tiny", tiny_density(trained.data.levels, size=trained.data.image_shape[1:]), trained)


@pytest.mark.parametrize("orders", [1, 4])
def test_the_bits_of_pixels_sum_to_those_of_the_image_whatever_is_held_at_once(orders, monkeypatch):
    density = tiny_density(4, orders=orders)
    x = torch.randint(0, 4, (5, 1, 3, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = -density.log_prob(x) / math.log(2)
    torch.testing.assert_close(scores.bits(density, x).sum((1, 2)), expected)
    monkeypatch.setattr(scores, "AT_ONCE", 1)
    torch.testing.assert_close(scores.bits(density, x).sum((1, 2)), expected)


def test_the_bits_of_a_completion_are_those_of_its_drawn_pixels():
    density, known = tiny_density(2), torch.ones(3, 3, dtype=torch.bool)
    known[1:, 1:] = False
    x = density.complete(torch.ones(2, 1, 3, 3, dtype=torch.uint8), known, seed=0)
    with torch.no_grad():
        each = density.logits(x).log_softmax(1).gather(1, x[:, None].long())[:, 0, 0] / -math.log(2)
    captions = [f"{image[~known].sum():.0f} bits drawn, {image.sum():.0f} in all" for image in each]
    assert scores.costs(density, x, known) == captions


def test_the_bits_of_a_completion_by_a_mixture_of_scans_are_of_all_images_with_the_same_known_pixels():
    density, known = tiny_density(2, orders=4, size=(2, 3)), half_known_left()
    images = all_images(2, (1, 2, 3))
    with torch.no_grad():
        fits = [scan for scan in range(4) if density.scans[scan].turn(known).flatten()[:2].all()]
        joint = torch.stack([density.log_prob(images, order=scan) for scan in fits]).logsumexp(0)
    same = (images[:, 0, :, 0] == images[5, 0, :, 0]).all(1)
    expected = joint[same].logsumexp(0) - joint[5]
    (caption,) = scores.costs(density, images[5:6], known)
    assert caption.startswith(f"{expected / math.log(2):.0f} bits drawn")


def half_known_left():
    known = torch.zeros(2, 3, dtype=torch.bool)
    known[:, 0] = True
    return known


def test_a_place_counts_the_images_that_cost_as_much():
    among = scores.Reference(torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3, 1, 1, 1), "")
    assert among.place(0.2) == "2 of these 3 images cost as many bits or more, 1 cost fewer"


def test_the_histogram_is_of_the_test_images_of_the_run_where_they_are_now(tmp_path):
    write_mnist(tmp_path)
    model = model_of(f"data.dir={tmp_path / 'elsewhere'}")
    found = scores.reference(model, demo(f"data.dir={tmp_path}").data, 5)
    images = ImageData(compose([*SMALL, f"data.dir={tmp_path}"]).data, 0).split("test").images[:5]
    torch.testing.assert_close(found.bits_per_dim, scores.bits(model.density, images).mean((1, 2)))
    assert found.what == "the first 5 of 20 test images of mnist (torchvision)"


def test_where_they_are_not_they_are_digits_and_a_sentence_says_so_and_nothing_is_downloaded(tmp_path):
    model = model_of(f"data.dir={tmp_path / 'nowhere'}")
    found = scores.reference(model, demo().data, 3)
    assert "digits that come with the package, since MNIST's test images are not on this disk" in found.what
    assert list(tmp_path.iterdir()) == []
    clothes = model_of("data=fashion_mnist", f"data.dir={tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="is not downloaded here"):
        scores.reference(clothes, demo().data, 3)
    with pytest.raises(UserError, match="is not downloaded here"):
        scores.reference(model, demo("data=fashion_mnist", f"data.dir={tmp_path / 'nowhere'}").data, 3)


def test_weights_gone_wrong_give_no_number():
    density = tiny_density(4)
    next(density.parameters()).data.fill_(torch.nan)
    with pytest.raises(UserError, match=r"log p\(x\) is not finite"):
        scores.bits(density, torch.zeros(1, 1, 3, 3, dtype=torch.uint8))


def test_the_models_of_the_command_line_come_first():
    found = models(demo("ckpt=pretrained:mnist256", "beside=pretrained:digits"))
    assert list(found)[:2] == ["pretrained:mnist256", "pretrained:digits"]
    assert "pretrained:mnist_scans" in found
    assert found["pretrained:digits"].sentence == (
        "pixelcnn_pp of 145,000 weights, of images of 28x28 pixels in grey at 4 levels (mnist)"
    )
