from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

# The networks of the tests are so small that a second thread costs more than it does, here and in the commands that are
# run as processes. Read by torch when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from helpers.builders import write_mnist

if TYPE_CHECKING:
    import torch

# Reproducible in CI, and no deadline: the first call of a torch kernel is slow.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mnist(tmp_path_factory.mktemp("data"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", choices=("cpu", "cuda"), help="where the conformance kit runs")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--device") == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError("--device cuda: there is no CUDA GPU here")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    import torch

    return torch.device(request.config.getoption("--device"))
