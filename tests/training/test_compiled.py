from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from pixelcnn_lit.training.compiled import Compiled


def failing(error):
    def compiled(*arguments):
        torch.rand(3)  # a step that fails half way may have drawn numbers
        raise error

    return lambda function, **options: compiled


def test_a_step_that_cannot_be_compiled_runs_as_it_is_and_a_line_tells_it_once(monkeypatch, caplog):
    error = RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nin torch._inductor")
    monkeypatch.setattr(torch, "compile", failing(error))
    step = Compiled(lambda x: nn.functional.dropout(x) * 2, "default")
    x = torch.ones(50)
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING):
        results = [step(x), step(x)]
    torch.manual_seed(0)
    for result in results:
        assert torch.equal(result, nn.functional.dropout(x) * 2)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("trainer.compile: the training step cannot be compiled here and runs as it is, slower")
    assert "No working C++ compiler found" in line
    assert "\n" not in line


def test_a_failure_of_the_step_itself_is_raised(monkeypatch):
    def wrong(x):
        raise ValueError("a wrong step")

    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    with pytest.raises(ValueError, match="a wrong step"):
        Compiled(wrong, "default")(torch.ones(1))


def test_too_little_memory_is_no_reason_to_go_on(monkeypatch):
    monkeypatch.setattr(torch, "compile", failing(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(lambda x: x, "default")(torch.ones(1))
