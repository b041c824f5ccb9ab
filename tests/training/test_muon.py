from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.training.muon import Muon, orthogonal

OPTIONS = {"lr": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.1, "fused": True}


def taken(parameters, gradients, optimizer, steps=1):
    """The parameters after ``steps`` steps along ``gradients``."""
    for _ in range(steps):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [parameter.detach().clone() for parameter in parameters]


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (8, 8)])
def test_the_directions_of_a_matrix_are_kept_and_their_lengths_become_alike(shape):
    gradient = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    within = u.mT @ orthogonal(gradient) @ v.mT
    lengths = within.diagonal(dim1=1, dim2=2)
    assert (within - torch.diag_embed(lengths)).abs().max() < 1e-3
    assert 0.6 < lengths.min() < lengths.max() < 1.3


def test_a_step_is_that_of_the_formula():
    weight = torch.nn.Parameter(torch.randn(4, 2, 3, 3))
    before, gradients = weight.detach().clone(), torch.randn(2, 4, 2, 3, 3)
    optimizer = Muon([weight], **OPTIONS)
    momentum = torch.zeros_like(before)
    for gradient in gradients:
        momentum = 0.9 * momentum + 0.1 * gradient
        direction = orthogonal((0.9 * momentum + 0.1 * gradient).reshape(1, 4, 18)).reshape(4, 2, 3, 3)
        before = (1 - 0.01 * 0.1) * before - 0.2 * 18**0.5 * 0.01 * direction
        taken([weight], [gradient], optimizer)
    torch.testing.assert_close(weight.detach(), before)


def test_all_other_parameters_take_the_steps_of_adamw():
    shapes = [(8, 1, 1, 1), (10, 8), (8,), (1, 8, 3, 3)]
    start, gradients = [torch.randn(s) for s in shapes], [torch.randn(s) for s in shapes]
    ends = []
    for kind in (Muon, torch.optim.AdamW):
        parameters = [torch.nn.Parameter(value.clone()) for value in start]
        ends.append(taken(parameters, gradients, kind(parameters, **OPTIONS), steps=3))
    for ours, theirs in zip(*ends, strict=True):
        assert torch.equal(ours, theirs)


def test_a_step_with_infinite_gradients_changes_nothing_and_the_next_one_is_as_without_it():
    ends = []
    for disturbed in (False, True):
        torch.manual_seed(0)
        parameters = [torch.nn.Parameter(torch.randn(4, 4, 3)), torch.nn.Parameter(torch.randn(4))]
        gradients = [torch.randn_like(p) for p in parameters]
        optimizer = Muon(parameters, **OPTIONS)
        taken(parameters, gradients, optimizer)
        if disturbed:
            optimizer.found_inf = torch.tensor(1.0)
            taken(parameters, [torch.full_like(g, torch.nan) for g in gradients], optimizer)
            optimizer.found_inf = torch.tensor(0.0)
        ends.append(taken(parameters, gradients, optimizer))
    for plain, after in zip(*ends, strict=True):
        assert torch.equal(plain, after)


def test_gradients_stay_and_what_has_none_is_passed_over():
    frozen, weight = (torch.nn.Parameter(torch.ones(4, 4, 3)) for _ in range(2))
    optimizer = Muon([frozen, weight], **OPTIONS)
    weight.grad = torch.ones(4, 4, 3)
    optimizer.step()
    assert torch.equal(weight.grad, torch.ones(4, 4, 3))
    assert torch.equal(frozen.detach(), torch.ones(4, 4, 3))
