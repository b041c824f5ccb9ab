"""The tests of a GPU: `make test-gpu`, at sizes that users have.

Without a GPU the same functions run at tiny sizes, which says that the tests themselves work:
``pytest -n0 -m gpu tests/gpu``. What only a GPU can reach, a figure or a speed, is not asked for there.
"""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def on_gpu(device: torch.device) -> bool:
    """Whether sizes are real, and figures asked for."""
    return device.type == "cuda"


@pytest.fixture
def trainer(on_gpu: bool) -> list[str]:
    """The overrides of a run on this device, which leaves neither pictures nor logs in between."""
    return [f"trainer={'gpu' if on_gpu else 'cpu'}", "logger=none", "callbacks.pictures.every_n_epochs=0"]
