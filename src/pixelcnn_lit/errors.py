"""The errors with a meaning of their own: a user's mistake, a signal, and a pruned run."""

from __future__ import annotations

import signal


class Interrupted(KeyboardInterrupt):
    """A signal has ended a run. The message says how to resume it; ``number`` is the signal."""

    def __init__(self, how: str, number: signal.Signals | None) -> None:
        super().__init__(how)
        self.number = number or signal.SIGINT


class Pruned(Exception):  # noqa: N818
    """The pruner of a search has ended a run. The message says what the run had reached."""


class UserError(Exception):
    """A user's mistake. The message is one line: which key or file is wrong, why, and what would be right."""
