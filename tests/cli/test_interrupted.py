"""Runs that are killed, terminated or interrupted as processes, and go on to the end of an undisturbed one."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from helpers.process import TINY, Result, Started, environment, forked, succeeds
from pixelcnn_lit import cli
from pixelcnn_lit.storage import checkpoint, files

EPOCHS = 30
RUN = [
    *TINY,
    "data.batch_size=4",
    "logger=none",
    "callbacks.ema.decay=0.9",
    f"trainer.max_epochs={EPOCHS}",
    "checkpoint.every_minutes=0.0001",
    "trainer=cpu",
]


def end(run: Path, *arguments: str, number: int, after_epochs: int, rng: random.Random) -> tuple[Result, float]:
    """Start a run in a folder; send a signal soon after so many epochs. How it ended, and its seconds to leave."""
    process = Started("-m", "pixelcnn_lit.train", *arguments, f"hydra.run.dir={run.name}", cwd=run.parent)
    process.wait_for(lambda lines: sum(line.startswith("epoch") for line in lines) >= after_epochs)
    time.sleep(rng.random() * 0.1)
    process.send_signal(number)
    start = time.monotonic()
    return process.wait(), time.monotonic() - start


def ends(run: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    weights = checkpoint.load(run / "checkpoints" / "last.ckpt").state_dict()
    metrics = json.loads((run / "metrics.json").read_text())
    return weights, [metrics[key] for key in ("test/bits_per_dim", "val/bits_per_dim", "epochs")]


def survives(folder: Path, mnist_dir: Path, numbers: list[int], rng: random.Random) -> None:
    """A run that gets these signals ends as one that gets none."""
    arguments = [*RUN, f"data.dir={mnist_dir}"]
    whole, run = folder / "whole", folder / "run"
    succeeds(forked("train", *arguments, f"hydra.run.dir={whole}", cwd=folder))
    done = 0
    for number in numbers:
        after = rng.randint(1, max(1, min(2, EPOCHS - 2 - done)))
        result, seconds = end(run, *arguments, number=number, after_epochs=after, rng=rng)
        if number == signal.SIGKILL:
            assert result.returncode == -number
        else:
            word = "terminated" if number == signal.SIGTERM else "interrupted"
            assert result.returncode == 128 + number, result.stderr
            assert result.stderr == f"{word}: the same command with ckpt=run/checkpoints/last.ckpt goes on\n"
            assert seconds < 20  # a fraction of one on a quiet machine
        assert checkpoint.newest_good(run / "checkpoints") == run / "checkpoints" / "last.ckpt"
        assert not (run / "metrics.json").exists()
        done = checkpoint.read(run / "checkpoints" / "last.ckpt")[1]["epoch"]
    succeeds(forked("train", *arguments, "hydra.run.dir=run", cwd=folder))
    (weights, numbers_), (expected, expected_numbers) = ends(run), ends(whole)
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    assert numbers_ == expected_numbers
    assert (run / "samples.png").read_bytes() == (whole / "samples.png").read_bytes()


def test_a_run_that_is_killed_terminated_and_interrupted_ends_as_an_undisturbed_one(tmp_path, mnist_dir):
    signals = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL]
    survives(tmp_path, mnist_dir, signals, random.Random(0))


@pytest.mark.soak
def test_twenty_kills_at_random_moments(tmp_path, mnist_dir):
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        survives(folder, mnist_dir, [signal.SIGKILL] * 4, random.Random(seed))


AT_IMPORT = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
runpy.run_module("pixelcnn_lit.sample", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["hydra", "torch"])
def test_a_command_that_is_interrupted_while_it_loads_ends_in_one_line(module, tmp_path):
    script = [sys.executable, "-c", AT_IMPORT.format(module=module), "ckpt=pretrained:digits"]
    ended = subprocess.run(script, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 128 + signal.SIGINT
    assert ended.stdout == ""
    assert ended.stderr == "interrupted: nothing was written; the same command starts again\n"


def test_a_command_that_is_interrupted_says_what_it_has_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "_whole", [])
    monkeypatch.chdir(tmp_path)

    @cli.one_line_errors()
    def command():
        with files.write_whole("first.npy") as file:
            file.write(b"1")
        with files.write_whole("second.png"):
            raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        command()
    assert end.value.code == 130
    told = "first.npy is written; the same command starts again, and writes all"
    assert capsys.readouterr().err == f"interrupted: {told}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["first.npy"]
