"""The targets of docs/performance.md for a GPU, beside the textbook's step and in images per second."""

from __future__ import annotations

import json

import pytest

from benchmarks import sampling, training

pytestmark = pytest.mark.gpu
STEP, IMAGES_A_SECOND = 5, 5000
SMALL = ["model.n_res=1", "model.hidden=8"]


def rows(benchmark, device, folder, *arguments):
    """What a benchmark wrote: its rows and its line about the machine."""
    out = folder / "out.json"
    benchmark.main([f"--device={device}", f"--out={out}", *arguments])
    found = json.loads(out.read_text())
    return found["rows"], found["machine"]


def test_a_step_at_256_levels_is_five_times_as_fast_as_the_textbooks(device, on_gpu, tmp_path, capsys):
    sizes = ["--rounds=2", "--steps=30"] if on_gpu else ["--rounds=1", "--steps=1", *SMALL, "data.batch_size=2"]
    found, machine = rows(training, device.type, tmp_path, *sizes, "data.levels=256")
    ratios = {row["name"]: row["ratio"] for row in found}
    with capsys.disabled():
        print(f"\n{machine}: a step, times the textbook's: {ratios}")
    assert ratios["trainer.fit"] >= (STEP if on_gpu else 0)


def test_five_thousand_images_are_drawn_a_second(device, on_gpu, tmp_path, capsys):
    sizes = ["--n=256,1024,2048", "--rounds=2"] if on_gpu else ["--n=2", "--rounds=1", *SMALL]
    found, machine = rows(sampling, device.type, tmp_path, *sizes, "data.levels=256")
    speeds = {row["n"]: row["images_per_second"] for row in found}
    with capsys.disabled():
        print(f"\n{machine}: images a second, by the size of the batch: {speeds}")
    assert max(speeds.values()) >= (IMAGES_A_SECOND if on_gpu else 0)
