"""Sweeps that are kept for the pages."""

from __future__ import annotations

import json

import pytest
from benchmarks.kept_sweep import keep_sweep, kept_sweeps
from omegaconf import OmegaConf

from benchmarks import results
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder

BASE = ["data=digits", "data.dir=/home/me/data"]
METRICS = {
    "test/bits_per_dim": 0.25,
    "steps": 400,
    "processor_seconds": 12.3,
    "data": "mnist",
    "source": "/home/me/cats.npz",
    "val_images": 1000,
    "seed": 0,
    "precision": "32-true",
    "machine": "Abacus 2",
    "threads": 2,
    "git": "abc",
}


@pytest.fixture
def sweep(tmp_path):
    """The folder of a search of three trials, of which one failed."""
    folder = tmp_path / "outputs" / "search"
    folder.mkdir(parents=True)
    task = ["sweep=optuna", "name=search", *BASE, "optimizer.lr=tag(log,interval(1e-4,1e-2))"]
    told = {"task": task, "hydra": ["hydra.sweeper.n_trials=3", "hydra.mode=MULTIRUN"]}
    OmegaConf.save({"hydra": {"overrides": told, "job": {"id": "???"}}}, folder / "multirun.yaml")
    for number, (lr, val) in enumerate([("0.00512345", 0.3), ("0.001", 0.2), ("0.0001", None)]):
        run = folder / f"00{number}"
        overrides = [*BASE, f"optimizer.lr={lr}"]
        run_folder.record(run, compose(overrides), overrides, {})
        (run / "trial.json").write_text(json.dumps({"number": number, "pruner": "none"}))
        (run / "train.log").write_text(f"[2026-11-2{number} 10:00:00,000][a][INFO] finished: test 0.25\n")
        if val is None:
            (run / "stopped.json").write_text(json.dumps({"state": "failed", "reason": "too wide"}))
        else:
            (run / "metrics.json").write_text(json.dumps({**METRICS, "val/bits_per_dim": val}))
    return folder


def test_a_page_tells_a_sweep_that_is_kept(sweep, tmp_path, monkeypatch, capsys):
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("<!--sweep one-->\n<!--/sweep-->\n")
    (tmp_path / "README.md").write_text("")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    results.main(["keep", str(sweep), "one"])
    assert "docs/results/one" in capsys.readouterr().out
    assert page.read_text().splitlines()[1:-1] == [
        "`python -m pixelcnn_lit.train -m sweep=optuna data=digits 'optimizer.lr=tag(log,interval(1e-4,1e-2))'"
        " hydra.sweeper.n_trials=3`",
        "",
        "| optimizer.lr | validation bits/dim | steps | processor seconds | state |",
        "| --- | ---: | ---: | ---: | --- |",
        "| 0.001 | 0.2000 | 400 | 12 | finished |",
        "| 0.00512 | 0.3000 | 400 | 12 | finished |",
        "| 0.0001 | not kept | not kept | not kept | failed: too wide |",
        "",
        "3 runs; validation on 1,000 images of mnist; seed 0; precision 32-true; machine Abacus 2, 2 threads; date"
        " 2026-11-22; code abc.",
    ]
    results.check(tmp_path)
    page.write_text(page.read_text().replace("0.2000", "0.1000"))
    with pytest.raises(UserError, match=r"page.md:6: says"):
        results.check(tmp_path)


def test_a_sweep_that_goes_on_is_not_kept(sweep, tmp_path):
    (sweep / "000" / "metrics.json").unlink()
    with pytest.raises(UserError, match="search: not at its end: 1 of 3 runs"):
        keep_sweep(sweep, "one", tmp_path / "results", replace=False)


def test_all_code_that_the_runs_of_a_sweep_ran_is_told(sweep, tmp_path):
    metrics = sweep / "001" / "metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "git": "def"}))
    file = keep_sweep(sweep, "one", tmp_path / "results", replace=False) / "sweep.json"
    assert json.loads(file.read_text())["facts"]["git"] == "def and abc"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"command": "train data.dir=/home/me/data"}, "one/sweep.json: names a place of one machine, 'train data.dir="),
        ({"more": 1}, "one/sweep.json: damaged: .*more"),
    ],
)
def test_a_kept_sweep_that_is_wrong_is_one_line(sweep, tmp_path, change, message):
    file = keep_sweep(sweep, "one", tmp_path / "results", replace=False) / "sweep.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UserError, match=message):
        kept_sweeps(tmp_path / "results")


def test_a_page_that_names_no_kept_sweep_is_one_line(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("<!--sweep none-->\n<!--/sweep-->\n")
    with pytest.raises(UserError, match=r"README.md: no sweep none is kept; there are none"):
        results.write(tmp_path)
