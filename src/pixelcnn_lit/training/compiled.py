"""torch.compile of the training step, with the plain step where it cannot be compiled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pixelcnn_lit.device import out_of_memory

LOG = logging.getLogger(__name__)


class Compiled:
    """A compiled function. If its first call fails, it is called as it is, from then on, and a line says so.

    The first call compiles, which needs a C++ compiler or Triton, and knows not every operation. A failure of the
    function itself is raised, since the plain call fails too.
    """

    def __init__(self, function: Callable[..., Tensor], mode: str) -> None:
        self._plain = function
        self._compiled = torch.compile(function, mode=mode, dynamic=False)
        self._chosen: Callable[..., Tensor] | None = None

    def __call__(self, *arguments: Any) -> Tensor:
        return self._choose(*arguments) if self._chosen is None else self._chosen(*arguments)

    def _choose(self, *arguments: Any) -> Tensor:
        state = torch.get_rng_state()
        try:
            result = self._compiled(*arguments)
            self._chosen = self._compiled
        except Exception as error:
            if out_of_memory(error):
                raise
            torch.set_rng_state(state)
            result = self._plain(*arguments)
            self._chosen = self._plain
            reason = str(error).strip().splitlines()
            LOG.warning(
                "trainer.compile: the training step cannot be compiled here and runs as it is, slower: %s: %s",
                *(type(error).__name__, reason[0] if reason else ""),
            )
        return result
