from __future__ import annotations

import contextlib
import logging
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from helpers.builders import tiny_density
from pixelcnn_lit.sampling import draw
from pixelcnn_lit.sampling.replay import CudaGraph, Recording


def test_playing_does_again_what_was_recorded_on_what_is_there_now():
    x, weight, bias = torch.randn(4, 3), torch.randn(3, 5), torch.randn(5)
    out = torch.zeros(4, 5)

    def compute() -> None:
        h = torch.addmm(bias, x, weight)  # a result of its own
        h = torch.relu(h) + F.elu(h).chunk(2, dim=-1)[0].sum()  # one without an out variant, and views
        h.mul_(2)  # in place
        torch.add(h[:, :], bias, alpha=0.5, out=out)

    recording = Recording()
    with torch.inference_mode():
        recording.record(compute)
    recorded = out.clone()
    for _ in range(3):
        with torch.inference_mode():
            x.normal_()
            recording.play()
        played = out.clone()
        compute()
        torch.testing.assert_close(played, out)
        assert not torch.equal(played, recorded)


def test_sections_share_the_memory_of_what_they_compute():
    rows, sums = torch.randn(6, 4), torch.zeros(6, 4)
    recording = Recording()
    results = []

    def compute() -> None:
        for row, total in zip(rows.unbind(0), sums.unbind(0), strict=True):
            recording.start_section()
            result = torch.exp(row)
            results.append(result.data_ptr())
            total.copy_(result * 2)

    with torch.inference_mode():
        recording.record(compute)
    assert len(set(results)) == 1
    torch.testing.assert_close(sums, 2 * rows.exp())
    with torch.inference_mode():
        rows.normal_()
        recording.play()
    torch.testing.assert_close(sums, 2 * rows.exp())


def test_sections_that_do_not_do_alike_are_refused():
    recording = Recording()

    def compute() -> None:
        for rows in (2, 3):
            recording.start_section()
            torch.exp(torch.ones(1).expand(rows))

    with pytest.warns(UserWarning, match="resized"), pytest.raises(RuntimeError, match="must do alike"):
        recording.record(compute)


def test_shapes_and_the_like_are_not_steps():
    x = torch.ones(3, 2)
    recording = Recording()
    recording.record(lambda: x.new_zeros(x.shape[0], x.dim()))
    assert len(recording.steps) == 1


def test_an_operation_with_several_results_is_refused():
    with pytest.raises(TypeError, match="one tensor as a result"):
        Recording().record(lambda: torch.randn(3, 4).max(dim=1))


def test_operations_in_place_stay_in_place():
    x = torch.randn(4)

    def compute() -> None:
        F.relu(x - 1)
        F.relu(x, inplace=True)

    recording = Recording()
    with torch.inference_mode():
        recording.record(compute)
        x.normal_()
        expected = x.relu()
        recording.play()
    assert torch.equal(x, expected)


def without_capture(monkeypatch, error):
    """A CUDA that runs everything on the CPU, and fails to capture a graph."""

    @contextlib.contextmanager
    def graph(_):
        raise error
        yield

    nothing = SimpleNamespace(wait_stream=lambda other: None)
    for name, fake in {
        "CUDAGraph": lambda: None,
        "Stream": lambda: nothing,
        "current_stream": lambda: nothing,
        "stream": lambda _: contextlib.nullcontext(),
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(draw, "Recording", CudaGraph)


def test_where_cuda_captures_no_graph_the_images_are_the_same_and_a_line_tells_it_once(monkeypatch, caplog):
    density = tiny_density(4, size=(6, 5))
    expected = density.sample(3, seed=1)
    without_capture(monkeypatch, RuntimeError("operation not permitted when stream is capturing"))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(density.sample(3, seed=1), expected)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "cannot be captured as a CUDA graph; sampling goes on without" in line


def test_a_gpu_without_memory_for_a_graph_is_no_reason_to_go_on_without(monkeypatch):
    without_capture(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        tiny_density(4, size=(6, 5)).sample(3, seed=1)
