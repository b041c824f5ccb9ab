"""The one kind of error that a user can cause, and what the commands do with all the others."""

from __future__ import annotations

import signal


class Interrupted(KeyboardInterrupt):
    """A signal has ended a run: how to go on with it, and which signal it was."""

    def __init__(self, how: str, number: signal.Signals | None) -> None:
        super().__init__(how)
        self.number = number or signal.SIGINT


class Pruned(Exception):  # noqa: N818
    """A search has ended a run that has no hope: what it had reached."""


class UserError(Exception):
    """A wrong value, key or file: one line that says what is wrong, which key or file, and what would be right."""
