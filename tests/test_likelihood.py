from __future__ import annotations

import torch

from pixelcnn_lit.likelihood import Categorical


def test_categorical_is_a_log_softmax_over_levels_for_each_channel():
    torch.manual_seed(0)
    likelihood = Categorical(5)
    params, x = torch.randn(2, 3 * 5, 4, 6), torch.randint(0, 5, (2, 3, 4, 6))
    logits = likelihood.logits(params)
    assert logits.shape == (2, 3, 5, 4, 6)
    expected = logits.log_softmax(2).gather(2, x[:, :, None])[:, :, 0]
    torch.testing.assert_close(likelihood.log_prob(params, x), expected)


def test_half_precision_parameters_are_summed_in_float32():
    params = torch.randn(1, 256, 2, 2)
    x = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    nats = Categorical(256).log_prob(params.bfloat16(), x)
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats, Categorical(256).log_prob(params.bfloat16().float(), x))
