"""Long use: memory and open files stay flat, and several threads get right answers."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from helpers.builders import tiny_density
from helpers.memory import resident
from helpers.running import TINY, ScriptedRun
from pixelcnn_lit.config import compose


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def growth(step, warm_up: int, times: int) -> tuple[int, int]:
    """By how many bytes and open files the process grows over so many steps, after some that fill its caches."""
    for _ in range(warm_up):
        step()
    gc.collect()
    memory, files = resident(), open_files()
    for _ in range(times):
        step()
    gc.collect()
    return resident() - memory, open_files() - files


class Watch(pl.Callback):
    def __init__(self, warm_up):
        self.warm_up, self.seen = warm_up, []

    def on_train_epoch_end(self, *_):
        gc.collect()
        self.seen.append((resident(), open_files()))


def epochs(mnist_dir, folder, count, warm_up):
    early = "callbacks.early_stopping.patience=null"
    run = ScriptedRun(compose([*TINY, f"data.dir={mnist_dir}", f"trainer.max_epochs={count}", early]), folder)
    watch = Watch(warm_up)
    run.go(more=[watch])
    (memory, files), (memory_after, files_after) = watch.seen[warm_up], watch.seen[-1]
    return len(watch.seen), memory_after - memory, files_after - files


def test_a_few_epochs_and_samples_leave_nothing_behind(mnist_dir, tmp_path):
    density = tiny_density(size=(5, 5))
    memory, files = growth(lambda: density.sample(2, seed=0), 10, 30)
    assert memory < 4e6
    assert files == 0
    _, _, files = epochs(mnist_dir, tmp_path, 4, 2)
    assert files <= 0


@pytest.mark.soak
def test_two_hundred_epochs(mnist_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    count, memory, files = epochs(mnist_dir, tmp_path, 200, 20)
    with capsys.disabled():
        print(f"\n{count} epochs: {memory / 1e6:+.1f} MB and {files:+} open files from the 20th on")
    assert count == 200
    assert memory < 20e6
    assert files <= 0


@pytest.mark.soak
def test_a_thousand_samples(capsys):
    density = tiny_density(size=(8, 8))
    memory, files = growth(lambda: density.sample(4, seed=0), 100, 1000)
    with capsys.disabled():
        print(f"\n1,000 calls of sample: {memory / 1e6:+.1f} MB and {files:+} open files")
    assert memory < 10e6
    assert files == 0


def test_four_threads_at_once_get_right_answers():
    density = tiny_density(levels=4, size=(6, 6))
    seeds = range(8)
    drawn = [density.sample(3, seed=seed) for seed in seeds]
    nats = [density.log_prob(x) for x in drawn]
    with ThreadPoolExecutor(4) as pool:
        both = pool.map(lambda seed: (density.log_prob(drawn[seed]), density.sample(3, seed=seed)), seeds)
        for seed, (log_prob, x) in zip(seeds, both, strict=True):
            torch.testing.assert_close(log_prob, nats[seed])
            assert torch.equal(x, drawn[seed])
    assert not density.training
