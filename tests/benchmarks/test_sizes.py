from __future__ import annotations

import json

from benchmarks import sizes


def test_each_size_is_measured_with_activations_kept_and_computed_again(tmp_path):
    out = tmp_path / "sizes.json"
    sizes.main(
        [
            *("--sides=4,8", "--pixels=64", "--rounds=1", "--device=cpu", f"--out={out}"),
            *("model.n_res=1", "model.hidden=4", "data.levels=4"),
        ]
    )
    rows = json.loads(out.read_text())["rows"]
    assert [(row["n"], row["side"]) for row in rows] == [(4, 4), (4, 4), (1, 8), (1, 8)]
    for row in rows:
        assert row["microseconds_per_pixel"] * 64 / 1e6 == row["seconds"] > 0
