from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from pixelcnn_lit import progress as module
from pixelcnn_lit.progress import progress, tracked

SHOWN_AGAIN = "\x1b[?25h"  # the cursor


@pytest.fixture
def console(monkeypatch):
    """Puts a console with or without a terminal in place of the screen; gives what it shows."""

    def put(terminal):
        file = io.StringIO()
        shown = Console(file=file, force_terminal=terminal, width=100, color_system=None)
        monkeypatch.setattr(module, "get_console", lambda: shown)
        return file

    return put


def wait_for(seen):
    """Waits for what a thread does."""
    end = time.monotonic() + 10
    while not seen() and time.monotonic() < end:
        time.sleep(0.005)
    assert seen()


def test_where_there_is_no_terminal_lines_say_how_much_is_done_and_left(console, monkeypatch):
    file = console(terminal=False)
    monkeypatch.setattr(module, "EVERY", 0.01)
    with progress("test images", 2000) as tell:
        wait_for(lambda: "test images  0/2,000\n" in file.getvalue())
        tell(1000, "row 3/28")
        wait_for(lambda: "row" in file.getvalue())
    last = file.getvalue().splitlines()[-1]
    assert re.fullmatch(r"test images  1,000/2,000  row 3/28  0:00:0\d left", last)
    before = file.getvalue()
    time.sleep(0.05)
    assert file.getvalue() == before


@pytest.mark.parametrize("terminal", [False, True])
def test_what_takes_less_than_two_seconds_shows_nothing(terminal, console):
    file = console(terminal)
    with tracked("abc", "letters", 3) as letters:
        assert list(letters) == ["a", "b", "c"]
    assert file.getvalue() == ""


def test_a_terminal_has_a_bar_that_is_gone_after_an_error(console, monkeypatch):
    file = console(terminal=True)
    monkeypatch.setattr(module, "QUIET", 0.0)

    def fails():
        with tracked([[1, 2], [3]], "numbers", 3, size=len) as parts:
            next(parts)
            next(parts)
            wait_for(lambda: re.search(r"numbers .*2/3  0:00:0\d left", file.getvalue()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    ending = file.getvalue().rpartition("left")[2]
    assert SHOWN_AGAIN in ending
    assert "\x1b[2K" in ending  # the line is wiped
