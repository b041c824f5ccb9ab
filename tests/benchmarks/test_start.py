from __future__ import annotations

import json

import pytest

from benchmarks import start
from pixelcnn_lit.errors import UserError


def test_each_start_is_timed_after_a_round_that_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "CASES", {"nothing": ("-c", ""), "a wait": ("-c", "import time; time.sleep(0.5)")})
    start.main(["--rounds=2", f"--out={tmp_path}/start.json"])
    found = json.loads((tmp_path / "start.json").read_text())["seconds"]
    assert [len(each) for each in found.values()] == [2, 2]
    assert min(found["a wait"]) > 0.5


def test_the_first_step_ends_the_process_before_a_folder_is_full(tmp_path):
    small = ("data=digits", "model.hidden=4", "model.n_res=0", "trainer.precision=32-true", "trainer=cpu")
    start.of_a_process((*start.CASES["the first step of the quick start"], *small), str(tmp_path))
    assert not (tmp_path / "outputs" / "one" / "metrics.json").exists()


def test_a_process_that_fails_fails_the_benchmark(tmp_path):
    with pytest.raises(UserError, match=r"ended with status 1: error: no_such_key: no such key"):
        start.of_a_process(("-m", "pixelcnn_lit.train", "no_such_key=1"), str(tmp_path))
