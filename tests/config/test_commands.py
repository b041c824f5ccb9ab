from __future__ import annotations

import hydra
import pytest

from pixelcnn_lit.config import EvaluateConfig, check, compose, conf_dir
from pixelcnn_lit.errors import UserError


def images_of(trained, *given):
    """The data of ``evaluate`` with overrides ``given``, for a checkpoint that was trained with ``trained``."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = hydra.compose("evaluate", ["ckpt=any.ckpt", *given])
    return check(composed, EvaluateConfig).data.instead_of(compose(["data=digits", *trained]).data)


BINARISED = ["data.levels=2", "data.binarize=dynamic"]


@pytest.mark.parametrize("given", [[], ["data.binarize=dynamic"], ["data=fashion_mnist"], ["data.binarize=checkpoint"]])
def test_images_are_binarised_as_those_of_the_checkpoint(given):
    assert images_of(BINARISED, *given).binarize == "dynamic"
    if "data.binarize=dynamic" not in given:
        assert images_of(["data.levels=2"], *given).binarize is None


@pytest.mark.parametrize("other", [[], ["data=fashion_mnist"]])
def test_no_binarisation_is_a_wish_that_a_binarised_model_refuses(other):
    assert images_of(["data.levels=2"], *other, "data.binarize=null").binarize is None
    with pytest.raises(UserError, match=r"data.binarize=null: the checkpoint has dynamic, which cannot be changed"):
        images_of(BINARISED, *other, "data.binarize=null")
    with pytest.raises(UserError, match=r"data.binarize=dynamic: the checkpoint has null, which cannot be changed"):
        images_of([], *other, "data.binarize=dynamic")
