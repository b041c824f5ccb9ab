from __future__ import annotations

import pytest
import torch

from helpers.builders import tiny_density
from pixelcnn_lit.metrics import BitsPerDim


@pytest.mark.parametrize("sizes", [[1, 6, 3], [10], [4, 4, 2]])
def test_uneven_batches_give_the_mean_over_images(sizes):
    density = tiny_density(4)
    x = torch.randint(0, 4, (10, 1, 5, 6))
    metric = BitsPerDim()
    with torch.no_grad():
        for batch in x.split(sizes):
            metric.update(density(batch))
        assert metric.compute().item() == pytest.approx(density.bits_per_dim(x).double().mean().item(), rel=1e-6)


def test_processes_add_up():
    nats = torch.rand(6, 1, 2, 2)
    parts = [BitsPerDim(), BitsPerDim()]
    parts[0].update(nats[:1])
    parts[1].update(nats[1:])
    whole = BitsPerDim()
    whole.update(nats)
    parts[0].merge_state(parts[1])
    assert parts[0].compute().item() == pytest.approx(whole.compute().item(), rel=1e-12)
