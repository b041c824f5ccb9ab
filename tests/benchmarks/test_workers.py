from __future__ import annotations

import json

import pytest

from benchmarks import workers

TINY = ["model.n_res=1", "model.hidden=4", "data.levels=4", "data.image_shape=[1,6,6]"]


def test_threads_and_processes_are_timed_in_turns(tmp_path):
    out = tmp_path / "workers.json"
    workers.main(["--n=2,3", "--workers=2", "--rounds=2", f"--out={out}", *TINY])
    found = json.loads(out.read_text())["rows"]
    assert [row["n"] for row in found] == [2, 3]
    for row in found:
        assert set(row["seconds"]) == set(workers.WAYS)
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in row["seconds"].values())


def test_other_images_fail_the_benchmark(monkeypatch):
    real = workers.by_processes
    monkeypatch.setattr(workers, "by_processes", lambda *a: 3 - real(*a))
    with pytest.raises(SystemExit, match="error: threads and processes drew different images"):
        workers.main(["--n=2", "--workers=2", "--rounds=1", *TINY])
