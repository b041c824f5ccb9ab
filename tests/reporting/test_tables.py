from __future__ import annotations

import pytest
from rich.console import Console

from helpers.running import leave
from pixelcnn_lit.reporting import collect
from pixelcnn_lit.reporting.compare import groups
from pixelcnn_lit.reporting.tables import table, table_of_means


def printed(folder, width):
    """The texts of the tables of a folder's groups, and what they leave out."""
    console, lacking = Console(width=width, record=True), []
    for group in groups(collect.runs_below(folder)):
        drawn, left_out = table(group, width)
        console.print(drawn)
        lacking += left_out
    return console.export_text(), lacking


def test_the_table_has_the_swept_keys_and_the_best_run_first(sweep):
    text, lacking = printed(sweep, 120)
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert [line.split("│")[1].strip() for line in lines] == ["15", "5", "15", "5"]
    assert "0.2500" in lines[2]
    assert "1 of 20" in lines[0]
    assert "failed" in lines[1]
    assert not lacking


@pytest.mark.parametrize("width", [30, 50, 62, 80, 100])
def test_no_number_and_no_word_of_a_header_is_broken(search, width):
    text, lacking = printed(search, width)
    cells = {word for line in text.splitlines() for cell in line.split("│") for word in cell.split()}
    headers = {word for line in text.splitlines() for cell in line.split("┃") for word in cell.split()}
    for run in collect.runs_below(search):
        lr = f"{float(run.value('optimizer.lr')):.3g}"
        assert {lr, run.value("model.hidden")} <= cells or {f"lr={lr}", f"hidden={run.value('model.hidden')}"} <= cells
        assert run.test is None or f"{run.test:.4f}" in cells
    known = {"optimizer.", "lr", "model.", "hidden", "run", "test", "val", "bits/dim", "parameters", "epochs", "state"}
    assert "…" not in text
    assert headers <= known | {"images/s"} | {word for word in headers if not word.isascii()} | cells
    assert ("images/s" in lacking) == (width < 85)
    assert ("parameters" in lacking) == (width < 72)


def test_the_state_stays_beside_a_long_name_of_a_folder(tmp_path):
    leave(tmp_path / ("name" * 20), "data.levels=2", bits=0.25)
    text, lacking = printed(tmp_path, 60)
    assert "0.2500" in text
    assert "finished" in text
    assert "images/s" in lacking


def means_of(group, width):
    console = Console(width=width, record=True)
    console.print(table_of_means(group, width)[0])
    return console.export_text()


def test_means_over_seeds_are_in_the_terminal_too(seeds):
    two, four = groups(collect.runs_below(seeds))
    lines = [line.split() for line in means_of(two, 80).splitlines() if line.startswith("│")]
    first, second = ([word for word in line if word != "│"] for line in lines)
    assert first == ["1", "3", *("0.6100", "±", "0.0100") * 2]
    assert second == ["2", "3", *("0.7100", "±", "0.0100") * 2]
    assert "2 of 3" in means_of(four, 80)
    assert all(len(line) <= 50 for line in means_of(four, 50).splitlines())
    assert "0.6100 ± 0.0100" in means_of(two, 40)


def test_the_means_of_one_setting_need_no_key(tmp_path):
    for seed in (1, 2):
        leave(tmp_path / str(seed), "data.levels=2", f"seed={seed}", bits=seed / 4)
    (group,) = groups(collect.runs_below(tmp_path))
    assert "0.3750 ± 0.1768" in means_of(group, 80)


def test_one_seed_has_no_means(sweep):
    assert [table_of_means(group, 80) for group in groups(collect.runs_below(sweep))] == [None, None]
