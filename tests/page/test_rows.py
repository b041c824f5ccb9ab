from __future__ import annotations

import threading
import time

import pytest
import torch
from threadpoolctl import threadpool_info

from helpers.builders import tiny_density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page.rows import rows


def test_the_images_come_row_by_row_and_in_the_end_whole():
    density = tiny_density(4, size=(6, 5))
    told = list(rows(lambda progress: density.sample(3, seed=0, progress=progress)))
    assert told[-1].done == told[-1].total == 6
    assert told[-1].x.equal(density.sample(3, seed=0))
    assert [so_far.done for so_far in told] == sorted({so_far.done for so_far in told})


def test_a_slow_reader_gets_the_newest_rows_alone():
    density, taken = tiny_density(4, size=(6, 5)), threading.Event()

    def draw(progress):
        def told(so_far):
            progress(so_far)
            taken.wait()  # else a fast drawer may be at its end before the first look

        return density.sample(3, seed=0, progress=told)

    drawn = rows(draw)
    first = next(drawn)
    taken.set()
    time.sleep(0.5)
    second = next(drawn)
    assert (first.done, second.done) == (first.done, 6)
    assert list(drawn) == []


def test_what_is_told_stays_as_it_was():
    density = tiny_density(4, size=(6, 5))
    first = next(rows(lambda progress: density.sample(3, seed=0, progress=progress)))
    assert int(first.seen.sum()) == 15 * first.done


def test_nobody_draws_for_a_reader_who_has_gone():
    density, told = tiny_density(4, size=(300, 5)), []

    def draw(progress):
        return density.sample(3, seed=0, progress=lambda so_far: told.append(so_far.done) or progress(so_far))

    drawn = rows(draw)
    next(drawn)
    drawn.close()
    assert told[-1] < 300
    assert not [thread for thread in threading.enumerate() if thread.name == "draws rows"]


def test_the_thread_that_draws_uses_as_many_cores_as_the_process():
    before, found = torch.get_num_threads(), []
    torch.set_num_threads(before + 1)
    try:
        list(rows(lambda progress: found.extend(threadpool_info())))
    finally:
        torch.set_num_threads(before)
    assert [pool["num_threads"] for pool in found if "torch" in pool["filepath"]] == [before + 1]


def test_an_error_of_the_model_is_raised_to_the_reader():
    density = tiny_density(4)
    next(density.parameters()).data.fill_(torch.inf)
    with pytest.raises(UserError, match="the model's logits are NaN or infinite"):
        list(rows(lambda progress: density.sample(2, seed=0, progress=progress)))
