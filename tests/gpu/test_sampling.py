"""Images drawn on the device: the CUDA graph, single operations and whole passes draw the same ones."""

from __future__ import annotations

import gc

import pytest
import torch

from helpers.builders import tiny_density
from helpers.memory import held
from pixelcnn_lit import load
from pixelcnn_lit.sampling import draw
from pixelcnn_lit.sampling.conditionals import CachedConditionals


def test_replayed_rows_single_operations_and_whole_passes_draw_the_same_images(device, on_gpu, monkeypatch):
    density = load("pretrained:digits").to(device) if on_gpu else tiny_density(4, size=(6, 5)).to(device)
    n, naively = (256, 4) if on_gpu else (8, 4)
    played = []
    name = "CudaGraph" if on_gpu else "Recording"
    kind = getattr(draw, name)
    monkeypatch.setattr(draw, name, type(name, (kind,), {"play": lambda self: played.append(self) or kind.play(self)}))
    replayed = density.sample(n, seed=1)
    assert played
    assert len(replayed.unique(dim=0)) > 1
    assert torch.equal(density.sample(naively, seed=1, method="naive"), replayed[:naively])
    monkeypatch.setattr(CachedConditionals, "recordable", False)
    played.clear()
    assert torch.equal(density.sample(n, seed=1), replayed)
    assert not played


@pytest.mark.gpu
def test_sampling_again_and_again_needs_no_more_memory(device, on_gpu):
    density = tiny_density(levels=4, n_res=3, hidden=16, size=(14, 14) if on_gpu else (5, 5)).to(device)
    used = []
    for seed in range(60 if on_gpu else 20):
        density.sample(16, seed=seed)
        gc.collect()
        used.append(held(device))
    assert used[-1] - used[10] < 4e6
