from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from pixelcnn_lit.sweeps import parent


@pytest.fixture
def told(monkeypatch):
    """What this process would send, to whom; the event is set after the first time."""
    sent, happened = [], threading.Event()

    def kill(*args):
        sent.append(args)
        happened.set()

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(parent, "POLL_SECONDS", 0)
    return sent, happened


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_job_whose_sweep_has_ended_already_ends(system, told, monkeypatch):
    sent, happened = told
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(parent.ctypes, "CDLL", lambda name: type("Kernel", (), {"prctl": lambda *args: 0})())
    monkeypatch.setenv(parent.PARENT, str(os.getppid() + 1))
    parent.end_with_parent()
    assert happened.wait(10)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert parent.PARENT not in os.environ  # for the processes that a job starts


def test_without_linux_a_job_ends_once_its_parent_is_another(told, monkeypatch):
    sent, happened = told
    parents = iter([7, 7, 7, 1])
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setenv(parent.PARENT, "7")
    parent.end_with_parent()
    assert happened.wait(10)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert list(parents) == []


def test_what_is_no_job_watches_nobody(told, monkeypatch):
    monkeypatch.delenv(parent.PARENT, raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    before = threading.active_count()
    parent.end_with_parent()
    assert threading.active_count() == before
    assert told[0] == []
