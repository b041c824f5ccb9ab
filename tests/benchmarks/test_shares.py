from __future__ import annotations

import json

import pytest

from benchmarks import sampling, shares

TINY = ["model.n_res=1", "model.hidden=4", "data.levels=4"]


def run(tmp_path, *options):
    out = tmp_path / "sampling.json"
    sampling.main(["--n", "2", "--rounds=1", "--device=cpu", f"--out={out}", *options, *TINY])
    return json.loads(out.read_text())


def test_the_parts_of_a_sampling_add_up(tmp_path):
    result = run(tmp_path, "--profile")
    (row,) = result["rows"]
    assert row["times_naive"] == pytest.approx(784 / row["forward_passes"])
    seconds = result["seconds_of_parts"]["2"]
    assert list(seconds) == list(shares.PARTS)
    measured = [part for part in shares.PARTS if part != shares.TIES]  # there may be none
    assert all(seconds[part] > 0 for part in measured)


def test_a_wrong_image_fails_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "agree", lambda density: False)
    with pytest.raises(SystemExit, match="error: the cached and the naive sampler drew different images"):
        run(tmp_path)


@pytest.mark.parametrize("options", [["data=digits", "context=small"], ["model=lmconv"], ["model.orders=2"]])
def test_images_given_something_and_in_other_orders_are_measured_too(tmp_path, options):
    (row,) = run(tmp_path, *options)["rows"]
    assert row["times_naive"] > 1
