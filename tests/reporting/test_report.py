from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image
from rich.console import Console

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting import collect, plots, report
from pixelcnn_lit.storage import run_folder


def test_the_page_needs_nothing_beside_itself(sweep, capsys):
    Image.new("RGB", (4, 4)).save(sweep / "b" / "samples.png")
    with run_folder.held(sweep / "d"):
        report.report(sweep)
    page = (sweep / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|@import|<script', page)
    for words in ("2 finished, 1 running, 1 failed", "0.2500", "1,234", "no &lt;memory&gt; [left]", "model.n_res=15"):
        assert words in page
    assert page.count("<svg") == 2
    assert page.count("data:image/png;base64,") == 1
    assert page.count("python -m pixelcnn_lit.train") == 4
    printed = capsys.readouterr().out
    assert "c: no <memory> [left]" in printed


def test_the_table_has_the_swept_keys_and_the_best_run_first(sweep):
    console = Console(width=120, record=True)
    console.print(report.table(sweep, collect.runs_below(sweep)))
    lines = [line for line in console.export_text().splitlines() if line.startswith("│")]
    assert [line.split("│")[1].strip() for line in lines] == ["15", "5", "15", "5"]
    assert "0.2500" in lines[0]
    assert "failed" in lines[3]


def test_plots_are_whole_and_join_what_differs_in_one_key(sweep):
    found = collect.runs_below(sweep)
    svg = plots.over_key("model.n_res", ["data.levels"], found)
    texts = [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"5", "15", "model.n_res", "test bits/dim"} <= set(texts)
    assert plots.over_key("data.levels", ["model.n_res"], found) is None
    assert plots.curves(["model.n_res"], [run for run in found if not run.curve]) is None
    assert "n_res 15" in plots.curves(["model.n_res"], found)


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(UserError, match="no run in it"):
        report.report(tmp_path)
    with pytest.raises(UserError, match="none: no such folder"):
        report.report(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: a file, where the folder"):
        report.report(tmp_path / "file")
