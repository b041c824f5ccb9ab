from __future__ import annotations

import os
import signal
from pathlib import Path

# The networks of the tests are so small that a second thread costs more than it does, here and in the commands that are
# run as processes. Read by torch when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without it a GPU's matrix products may differ from run to run. Read when the first of them begins.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch
from hypothesis import settings

from helpers.builders import write_mnist
from pixelcnn_lit.device import name_of

# Reproducible in CI, and no deadline: the first call of a torch kernel is slow.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mnist(tmp_path_factory.mktemp("data"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device", default="cpu", choices=("cpu", "cuda"), help="where the conformance kit and tests/gpu run"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell's & lets its processes ignore Ctrl-C, and theirs too: the tests of Ctrl-C would test nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--device") == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda: there is no CUDA GPU here")


def pytest_report_header(config: pytest.Config) -> str:
    return f"device: {name_of(torch.device(config.getoption('--device')))}"


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.config.getoption("--device"))
