from __future__ import annotations

import json

import pytest

from benchmarks import rows

TINY = ["model.n_res=1", "model.hidden=4", "data.levels=4"]


@pytest.mark.parametrize("at", ["top", "end"])
def test_each_size_has_a_time_for_each_round(at, tmp_path):
    out = tmp_path / "rows.json"
    rows.main(["--sides=5,6", "--n=1,2", "--rows=1", "--rounds=2", f"--at={at}", f"--out={out}", *TINY])
    result = json.loads(out.read_text())
    found = result["rows"]
    assert result["at"] == at
    assert [(row["n"], row["side"]) for row in found] == [(1, 5), (1, 6), (2, 5), (2, 6)]
    assert all(len(row["microseconds"]) == 2 and min(row["microseconds"]) > 0 for row in found)


def test_an_image_with_too_few_rows_is_refused(capsys):
    with pytest.raises(SystemExit):
        rows.main(["--sides=9,28", *TINY])
    assert "--sides: must be at least 12 for --rows=8, got [9, 28]" in capsys.readouterr().err
