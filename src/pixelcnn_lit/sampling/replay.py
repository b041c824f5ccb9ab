"""Record the tensor operations of a function once, then play them again on the same memory.

An ancestral sampler does the same few hundred small operations for every row. Most of their time goes into the Python
of the modules around them and into allocations; a recording has neither. On a GPU a CUDA graph does this; a
:class:`Recording` is its counterpart for the CPU. Both ask the same of the recorded function: that it reads and writes
tensors that stay where they are, and takes no decision on their values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# torch.relu takes no `out`; this is the same function.
OUT_VARIANTS: dict[str, Callable[..., Any]] = {"relu": partial(torch.clamp_min, min=0)}

READS = {Tensor.item, Tensor.tolist, Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__, Tensor.numpy}
"""What hands values to Python, whose decisions no recording holds."""


class NotRecordableError(TypeError, RuntimeError):
    """Some work cannot be recorded; run as it is, it may be right all the same."""


class Recording:
    """A list of operations with their arguments. Recording runs them; ``play`` runs them again.

    Results go where they went the first time. A recording may be cut into sections, one after the other. Those of
    the same ``kind`` do alike and share the memory of their intermediate results, which stays in the processor's cache.
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
        """From here on, use the memory of intermediate results of this kind of section from the start again."""
        self._results = self._of_kind.setdefault(kind, [])
        self._next = 0

    def record(self, work: Callable[[], None]) -> None:
        """Run ``work`` and keep what it does.

        Raises NotRecordableError for an operation with several results, one that reads values of a tensor, and sections
        of a kind that do not do alike.
        """
        with _Recorder(self):
            work()

    def keep(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation and, if it computes anything, keep it as a step."""
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
            return result  # a shape or the like, or views of memory that stays: valid as they are
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
    """A recording for a CUDA device: the operations are captured as one graph, and played by one launch."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def record(self, work: Callable[[], None]) -> None:
        """Run ``work`` once, which also warms its libraries up, then capture it without running it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(self._graph):
            work()

    def start_section(self, kind: int = 0) -> None:
        """A graph has memory of its own."""

    def play(self) -> None:
        """Launch the graph."""
        self._graph.replay()


class _Result:
    """Where the result of an operation is kept, and how it gets there."""

    def __init__(self, function: Callable[..., Any], kept: Tensor, direct: Callable[..., Any] | None) -> None:
        self.function, self.kept, self.direct = function, kept, direct
        self.shape = kept.shape

    def step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Tensor]:
        """A step that computes the operation on other arguments, of the same shapes, and returns what is kept."""
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
    """The function of torch that computes the same into ``out``, or None. Verified on these arguments."""
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
    """The functions of torch.nn.functional say inplace=False where those of torch that take `out` say nothing."""
    return {key: value for key, value in kwargs.items() if key != "inplace"}
