from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch

from helpers.builders import tiny_density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.sampling.workers import Crew, count

CPU, PARTS = torch.device("cpu"), [slice(0, 2), slice(2, 3), slice(3, 7)]


def numbers(part, progress):
    return np.arange(part.start, part.stop)


def slow(part, progress):
    time.sleep(60)


def gone(pid):
    """Whether a process ends within ten seconds."""
    for _ in range(1000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_each_part_is_drawn_once_by_whoever_is_free(workers):
    with Crew(workers, numbers) as crew:
        drawn = {part.start: list(images) for part, images in crew.results(PARTS, print)}
    assert drawn == {0: [0, 1], 2: [2], 3: [3, 4, 5, 6]}


def test_a_process_draws_on_one_thread_after_this_one_has_used_two():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.randn(400, 400) @ torch.randn(400, 400)
        with Crew(2, lambda part, progress: (torch.get_num_threads(), numbers(part, progress))) as crew:
            used = [threads for _, (threads, _) in crew.results(PARTS * 20, print)]
    finally:
        torch.set_num_threads(threads)
    assert used == [1] * 60


def test_images_are_those_of_this_process_and_rows_are_told():
    density, rows = tiny_density(4, size=(4, 5)), []

    def draw(part, progress):
        return density.sample(part.stop - part.start, 3, first=part.start, progress=progress).numpy()

    with Crew(2, draw) as crew:
        drawn = sorted(crew.results(PARTS, rows.append), key=lambda result: result[0].start)
    assert np.array_equal(np.concatenate([images for _, images in drawn]), density.sample(7, 3).numpy())
    for part in PARTS:
        assert [(row.done, row.total) for row in rows if row.part == part] == [(done, 4) for done in range(5)]


class OddError(Exception):
    def __init__(self, one, two):
        super().__init__(one + two)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (UserError("row 3: went wrong"), UserError, "row 3: went wrong"),
        (OddError("a", "b"), RuntimeError, "OddError: ab"),
    ],
)
def test_the_error_of_a_process_is_raised_here_and_all_end(error, kind, message):
    def draw(part, progress):
        if part.start:
            raise error
        slow(part, progress)

    crew = Crew(2, draw)
    with pytest.raises(kind, match=message), crew:
        list(crew.results(PARTS, print))
    assert crew.processes == [] == multiprocessing.active_children()


def test_a_killed_process_is_an_error_and_the_others_end():
    def draw(part, progress):
        os.kill(os.getpid(), signal.SIGKILL) if part.start else slow(part, progress)

    crew = Crew(2, draw)
    with pytest.raises(UserError, match=r"a process that drew images has ended \(SIGKILL\)"), crew:
        list(crew.results(PARTS, print))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_processes_end_with_the_one_that_started_them(number):
    """By Ctrl-C all processes of a terminal get the signal, by others the first alone."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            with Crew(2, slow) as crew:
                os.write(writer, " ".join(str(process.pid) for process in crew.processes).encode())
                list(crew.results(PARTS, print))
        except KeyboardInterrupt:
            os._exit(130)
        finally:
            os._exit(1)
    pids = [int(pid) for pid in os.read(reader, 100).split()]
    (os.killpg if number == signal.SIGINT else os.kill)(child, number)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (130 if number == signal.SIGINT else -number)
    assert len(pids) == 2
    assert all(map(gone, pids))
    os.close(reader)
    os.close(writer)


def test_what_is_logged_by_all_is_logged_once():
    with Crew(3, lambda part, progress: logging.getLogger("x").isEnabledFor(logging.WARNING)) as crew:
        loud = [loud for _, loud in crew.results(PARTS, print)]
    assert sorted(loud) == [False, False, True]


def test_no_room_for_a_process_is_one_line_and_those_that_began_end(monkeypatch):
    fork, pids = os.fork, []

    def few():
        if len(pids) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        pid = fork()
        pids.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", few)
    with pytest.raises(UserError, match=r"workers=3: no process can be started \(Resource temp"), Crew(3, slow):
        pass
    assert all(map(gone, pids))


def test_auto_is_a_process_for_each_thread_where_there_are_enough_images(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert [count("auto", n, CPU) for n in (1, 7, 8, 20, 64, 1000)] == [1, 1, 2, 5, 16, 16]
    assert count("auto", 1000, torch.device("cuda")) == 1
    assert count(3, 2, CPU) == 2
    with pytest.raises(UserError, match="workers=3: a GPU is used by one process"):
        count(3, 9, torch.device("cuda"))


def test_processes_are_forked_on_linux_alone(monkeypatch):
    monkeypatch.setattr("pixelcnn_lit.sampling.workers.FORK", None)
    assert count("auto", 1000, CPU) == count(1, 1000, CPU) == 1
    with pytest.raises(UserError, match="workers=2: processes that share a model need Linux"):
        count(2, 1000, CPU)
