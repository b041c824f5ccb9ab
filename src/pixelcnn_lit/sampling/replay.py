"""Recordings: the tensor operations of a function are recorded once, then replayed on the same memory.

An ancestral sampler does the same few hundred small operations for every row. Most of the time goes into Python code
and memory allocation, which a recording avoids. On a GPU a CUDA graph does this; on the CPU, a :class:`Recording`.
Both require that the recorded function reads and writes tensors that keep their memory, and takes no decision that
depends on their values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# torch.relu and torch.nn.functional.elu take no `out`; these are the same functions.
OUT_VARIANTS: dict[str, Callable[..., Any]] = {"relu": partial(torch.clamp_min, min=0), "elu": torch._C._nn.elu}

READS = {Tensor.item, Tensor.tolist, Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__, Tensor.numpy}
"""Functions that read values into Python. Decisions on these values cannot be recorded."""


LOG = logging.getLogger(__name__)


class NotRecordableError(TypeError, RuntimeError):
    """The work cannot be recorded. Without a recording it may still be correct."""


class Recording:
    """A list of operations with their arguments: ``record`` runs and stores them, ``play`` runs them again.

    ``play`` writes each result to the same memory as the first time. A recording may consist of consecutive sections.
    Sections of the same ``kind`` do the same operations, and share the memory of their intermediate results, so that
    this memory stays in the processor's cache.
    """

    def __init__(self) -> None:
        self.steps: list[Callable[[], Any]] = []
        self._of_kind: dict[int, list[_Result]] = {}
        self._results: list[_Result] = []
        self._next = 0

    def play(self) -> None:
        """Run all recorded operations in order."""
        for step in self.steps:
            step()

    def start_section(self, kind: int = 0) -> None:
        """Start a section: reuse the memory of the intermediate results of earlier sections of this ``kind``."""
        self._results = self._of_kind.setdefault(kind, [])
        self._next = 0

    def record(self, work: Callable[[], None]) -> None:
        """Run ``work`` and store its operations.

        Raises NotRecordableError for an operation with several results, an operation that reads values of a tensor, and
        sections of one kind whose results differ in shape.
        """
        with _Recorder(self):
            work()

    def keep(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation, and store it as a step unless its result is only a view or not a tensor."""
        if function in READS:
            raise NotRecordableError(f"a recording takes no decisions on values, which {function} reads")
        if "out" in kwargs or kwargs.get("inplace"):
            return self._add(partial(function, *args, **kwargs))
        if self._next < len(self._results) and self._results[self._next].function is function:
            known = self._results[self._next]
            self._next += 1
            result = self._add(known.step(args, kwargs))
            if result.shape != known.shape:
                raise NotRecordableError(
                    f"sections of a recording must do alike; {function} gave {known.shape}, then {result.shape}"
                )
            return result
        result = function(*args, **kwargs)
        if result is None or any(result is arg for arg in args):  # None: x[i] = y
            self.steps.append(partial(function, *args, **kwargs))  # it has just run, in place
            return result
        tensors = [
            value for value in (result if isinstance(result, tuple | list) else [result]) if isinstance(value, Tensor)
        ]
        if all(any(_share_memory(value, arg) for arg in args) for value in tensors):
            return result  # not a tensor, or views of memory that does not move: valid in every replay
        if not isinstance(result, Tensor):
            raise NotRecordableError(f"a recording takes operations with one tensor as a result, not {function}")
        known = _Result(function, result, _out_variant(function, args, kwargs, result))
        if self._next == len(self._results):
            self._results.append(known)
        self._next += 1
        self.steps.append(known.step(args, kwargs))  # it has just run
        return result

    def _add(self, step: Callable[[], Any]) -> Any:
        self.steps.append(step)
        return step()


class CudaGraph:
    """A recording for a CUDA device: one CUDA graph, replayed by one launch."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def record(self, work: Callable[[], None]) -> None:
        """Run ``work`` once, which also initialises the CUDA libraries; then capture it without running it.

        Raises NotRecordableError where CUDA cannot capture it, and warns of that.
        """
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        try:
            with torch.cuda.graph(self._graph):
                work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            LOG.warning("a row cannot be captured as a CUDA graph; sampling goes on without, slower: %s", error)
            raise NotRecordableError(str(error)) from error

    def start_section(self, kind: int = 0) -> None:
        """Do nothing: a CUDA graph manages its own memory."""

    def play(self) -> None:
        """Launch the graph."""
        self._graph.replay()


class _Result:
    """The memory of an operation's result, and how to compute the result into it."""

    def __init__(self, function: Callable[..., Any], kept: Tensor, direct: Callable[..., Any] | None) -> None:
        self.function, self.kept, self.direct = function, kept, direct
        self.shape = kept.shape

    def step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Tensor]:
        """A step that computes the operation on arguments of the same shapes, and returns the kept result."""
        if self.direct is not None:
            return partial(self.direct, *args, out=self.kept, **(kwargs and _without_inplace(kwargs)))
        function, kept = self.function, self.kept
        return lambda: kept.copy_(function(*args, **kwargs))


class _Recorder(TorchFunctionMode):
    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recording.keep(func, args, kwargs or {})


def _share_memory(a: Tensor, b: Any) -> bool:
    return isinstance(b, Tensor) and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _out_variant(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor
) -> Callable[..., Any] | None:
    """The torch function that computes the same into ``out``, checked on these arguments; None if there is none."""
    name = function.__name__.strip("_")
    candidate = OUT_VARIANTS.get(name) or getattr(torch, name, None)
    if candidate is None:
        return None
    again = torch.empty_like(result)
    try:
        candidate(*args, **_without_inplace(kwargs), out=again)
    except (TypeError, RuntimeError):
        return None
    return candidate if torch.equal(again, result) else None


def _without_inplace(kwargs: dict[str, Any]) -> dict[str, Any]:
    """``kwargs`` without "inplace": torch.nn.functional has this argument, the torch functions with `out` do not."""
    return {key: value for key, value in kwargs.items() if key != "inplace"}
