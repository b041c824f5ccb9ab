from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.device import enough_memory, fast_precision, pick_device
from pixelcnn_lit.errors import UserError


def test_what_does_not_fit_the_memory_is_told_with_its_batch():
    with (
        pytest.raises(UserError, match=r"^batch_size=7: the computer has not enough memory"),
        enough_memory("batch_size=7"),
    ):
        torch.empty(2**60, dtype=torch.uint8)
    with (
        pytest.raises(
            UserError, match=r"^batch_size=7: the GPU .* \(it asked for 3.00 GiB more\)\. Try a smaller batch"
        ),
        enough_memory("batch_size=7"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB. GPU 0 has ...")


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("batch_size=7"):
        raise RuntimeError("shapes do not fit")


def test_float32_is_not_rounded_to_tf32_in_a_gpus_convolutions():
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def test_an_apple_gpu_is_taken_where_it_is_asked_for_and_trains_in_float32(monkeypatch):
    with pytest.raises(UserError, match=r"^device=mps: no Apple GPU here"):
        pick_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("mps").type == "mps"
    assert pick_device("auto").type != "mps"
    assert fast_precision("mps") == "32-true"
