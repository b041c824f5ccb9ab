from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from helpers.running import leave
from pixelcnn_lit.reporting import collect, plots
from pixelcnn_lit.reporting.compare import groups
from pixelcnn_lit.reporting.importance import importance, scales
from pixelcnn_lit.reporting.page import page

TEXT = "{http://www.w3.org/2000/svg}text"


def page_of(folder):
    found = collect.runs_below(folder)
    return page(folder, found, groups(found))


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(TEXT)]


def drawn_runs(svg):
    return {int(number) for number in re.findall(r'class="run" data-run="(\d+)"', svg)}


def test_the_page_needs_nothing_beside_itself(sweep):
    for run, kind in (("b", "samples"), ("a", "samples"), ("b", "completions")):
        Image.new("RGB", (4, 4)).save(sweep / run / f"{kind}.png")
    text = page_of(sweep)
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|@import|<script src|url\((?!#)', text)
    for words in ("2 finished, 1 interrupted, 1 failed", "0.2500", "1,234", "no &lt;memory&gt; [left]", "1 of 20"):
        assert words in text
    assert text.count("data:image/png;base64,") == 3
    assert text.count("python -m pixelcnn_lit.train") == 4
    assert "<h2>Completions</h2>" in text
    assert "the same in all" not in text.replace("<dt>the same in all</dt><dd></dd>", "")


def test_the_best_is_marked_among_runs_that_compare_alone(seeds):
    text = page_of(seeds)
    marked = re.findall(r'class="n best" data-v="([\d.]+)"', text)
    assert [round(float(score), 3) for score in marked] == [0.61, 0.6, 1.11, 1.1]
    assert "0.6100 ± 0.0100" in text
    assert "2 of 3" in text
    assert text.count("Test over model.n_res") == 2
    assert "Test over data.levels" not in text
    assert "Test over seed" not in text


def test_a_run_that_is_pointed_at_is_told(seeds):
    found = collect.runs_below(seeds)
    text = page_of(seeds)
    told = json.loads(re.search(r'id="runs">(.*?)</script>', text, re.DOTALL)[1])
    assert told[0] == ["n_res=1 levels=2 seed=0", "test 0.6000", "val 0.6000", "bits/dim"]
    assert told[-1][-1] == "failed"
    assert drawn_runs(text) == {run.number for run in found}


def test_a_page_of_many_runs_has_the_pictures_of_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelcnn_lit.reporting.page.MOST_PICTURES", 2)
    for number in range(3):
        leave(tmp_path / str(number), "data.levels=2", f"model.n_res={number + 1}", bits=0.5 - number / 10)
        Image.new("L", (4, 4)).save(tmp_path / str(number) / "samples.png")
    text = page_of(tmp_path)
    assert re.findall(r'alt="samples of n_res=(\d)"', text) == ["2", "3"]
    assert "Of the 2 best runs" in text


def test_plots_have_a_line_for_what_differs_in_one_key(seeds):
    two, four = groups(collect.runs_below(seeds))
    svg = plots.over_key("model.n_res", two, {})
    assert {"1", "2", "model.n_res", "test bits/dim"} <= set(texts(svg))
    assert drawn_runs(svg) == {run.number for run in two.runs}
    assert drawn_runs(plots.over_key("model.n_res", four, {})) == {run.number for run in four.scored}
    assert plots.over_key("seed", two, {}) is None
    assert "n_res=2" in texts(plots.curves(two))
    assert plots.parallel(two, {}) is not None


def test_plots_of_nothing_are_none(sweep):
    two, _ = groups(collect.runs_below(sweep))
    assert plots.over_key("model.n_res", two, {}) is None
    assert plots.parallel(two, {}) is None


def test_a_search_is_drawn_in_parallel_coordinates_and_says_what_matters(search):
    (group,) = groups(collect.runs_below(search))
    shares = importance(group)
    assert list(shares) == ["optimizer.lr", "model.hidden"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["optimizer.lr"] > 0.6
    assert scales(group) == {"optimizer.lr": True, "model.hidden": False}
    svg = plots.parallel(group, scales(group))
    assert drawn_runs(svg) == {run.number for run in group.scored}
    assert {"lr", "hidden", "0.0001", "0.01"} <= set(texts(svg))
    lines = re.findall(r'class="run" data-run="\d+">\s*<path d="([^"]*)"', svg)
    assert [len(re.findall("[ML] ", line)) for line in lines] == [
        3
    ] * 12  # page.js finds each axis at a point of a line
    assert f"{shares['optimizer.lr']:.0%}" in texts(plots.importance(shares, group))
    text = page_of(search)
    assert "Importance of keys" in text
    assert "worse than the median" in text


def test_the_importance_of_keys_needs_a_search_and_its_journal(seeds, search, tmp_path):
    assert importance(groups(collect.runs_below(seeds))[0]) == {}
    shutil.copytree(search, tmp_path / "search")
    (tmp_path / "search" / "optuna.journal").write_text("damaged")
    assert importance(groups(collect.runs_below(tmp_path))[0]) == {}


def test_colours_are_those_of_the_page(seeds):
    svg = plots.curves(groups(collect.runs_below(seeds))[0])
    assert "var(--c0, #4c78a8)" in svg
    assert "var(--ink, #374151)" in svg
    assert not re.search(r"(?<!, )#4c78a8", svg)


def test_a_search_says_which_axis_is_logarithmic_and_without_one_the_span_does():
    few, wide = ["1", "2", "4"], ["0.001", "0.1", "10"]
    assert [plots.Axis.of(few, log).share(2) for log in (True, None, False)] == pytest.approx([1 / 2, 1 / 3, 1 / 3])
    assert [plots.Axis.of(wide, log).log for log in (True, None, False)] == [True, True, False]
    assert not plots.Axis.of(["0", "1"], True).log
    assert plots.Axis.of(["cosine", "none"], True).share(1) == 1
