from __future__ import annotations

import math

import pytest
import torch

from builders import tiny_density
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.module import LitDensity, learning_rate_course


def optimizer_config(*overrides):
    return compose(overrides).optimizer


def test_the_loss_is_the_nats_per_dimension():
    density = tiny_density(4)
    module = LitDensity(density, compose([]))
    module.log = lambda *args, **kwargs: None
    x = torch.randint(0, 4, (5, 1, 3, 3), dtype=torch.uint8)
    loss = module.training_step((x, torch.zeros(5)), 0)
    assert loss.item() == pytest.approx(density.bits_per_dim(x).mean().item() * math.log(2), rel=1e-5)


def test_cosine_warms_up_and_ends_at_zero():
    factor = learning_rate_course(optimizer_config("optimizer.warmup_steps=9"), 100)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == pytest.approx((1 + math.cos(math.pi * 0.09)) / 2)
    assert factor(50) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0)
    assert factor(101) == pytest.approx(0)


def test_exponential_is_the_articles_decay():
    factor = learning_rate_course(optimizer_config("optimizer=adam_exponential"), math.inf)
    assert factor(0) == 1
    assert factor(1000) == pytest.approx(0.999995**1000)


def test_constant_stays():
    factor = learning_rate_course(optimizer_config("optimizer.schedule=constant", "optimizer.warmup_steps=0"), math.inf)
    assert factor(0) == factor(10**6) == 1


def test_cosine_needs_an_end():
    with pytest.raises(UserError, match="needs an end"):
        learning_rate_course(optimizer_config(), math.inf)
