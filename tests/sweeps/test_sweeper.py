from __future__ import annotations

import pytest

from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder

GRID = ("name=depth", "model.n_res=1,2", "data.levels=2,4")
A, B, C, D = (f"model.n_res-{n_res}+data.levels-{levels}" for n_res in (1, 2) for levels in (2, 4))


def test_what_is_finished_is_skipped_and_what_failed_is_tried_again(sweep, tmp_path, capsys):
    with pytest.raises(UserError, match=f"1 of 4 jobs failed; {B.replace('+', '.')}: out of memory"):
        sweep(*GRID, fails=[B])
    assert sweep.ran == [A, B, C, D]
    with pytest.raises(KeyboardInterrupt, match=r"3 of 4 jobs finished; the same command goes on"):
        sweep(*GRID, interrupts=[B])
    assert sweep(*GRID) == [B]
    assert sweep(*GRID) == []
    assert "skipped" in capsys.readouterr().out
    assert sweep("name=depth", "model.n_res=1,2", "data.levels=2,4,8") == [
        "model.n_res-1+data.levels-8",
        "model.n_res-2+data.levels-8",
    ]


def test_a_sweep_without_a_name_that_is_interrupted_says_which_folder_to_go_on_in(sweep):
    with pytest.raises(KeyboardInterrupt) as interrupt:
        sweep(*GRID[1:], interrupts=[C])
    told, folder = str(interrupt.value).split("hydra.run.dir=")
    assert told == "2 of 4 jobs finished; the same command with "
    folder = folder.removesuffix(" goes on with the rest")
    with pytest.raises(KeyboardInterrupt, match="2 of 4 jobs finished; the same command goes on with the rest"):
        sweep(*GRID[1:], f"hydra.run.dir={folder}", interrupts=[C])


def test_a_wrong_value_fails_before_anything_runs_and_the_others_run(sweep, tmp_path):
    with pytest.raises(UserError, match=r"2 of 4 jobs failed; .*: data.levels=1: must be an integer from 2 to 256"):
        sweep("name=depth", "model.n_res=1,2", "data.levels=1,2")
    assert sweep.ran == ["model.n_res-1+data.levels-2", "model.n_res-2+data.levels-2"]
    assert run_folder.status(tmp_path / "outputs/depth/model.n_res-1+data.levels-1").state == "failed"


def test_a_wrong_value_leaves_what_is_finished_as_it_is(sweep, tmp_path):
    sweep(*GRID)
    files = {path: path.read_bytes() for path in (tmp_path / "outputs/depth").glob("*/**/*") if path.is_file()}
    with pytest.raises(UserError, match=r"optimizer.lr=-1: .*; outputs/depth/.* holds a run, and stays as it is"):
        sweep(*GRID, "optimizer.lr=-1")
    assert {path: path.read_bytes() for path in files} == files
    assert not list((tmp_path / "outputs/depth").glob("*/stopped.json"))


def test_a_changed_config_is_refused_before_anything_runs(sweep, tmp_path):
    sweep(*GRID)
    folder = tmp_path / "outputs" / "depth" / D
    run_folder.record(folder, compose(["model.n_res=2", "data.levels=4"]), [], {"overrides": {"task": []}})
    with pytest.raises(UserError, match=r"optimizer.lr=0.001, not 0.01"):
        sweep(*GRID, "optimizer.lr=0.01")
    assert sweep.ran == []
    assert sweep(*GRID, "optimizer.lr=0.01", "overwrite=true") == [A, B, C, D]


def test_one_sweep_at_a_time_and_not_where_a_run_is(sweep, tmp_path):
    with run_folder.held(tmp_path / "outputs" / "depth"), pytest.raises(UserError, match="another process is writing"):
        sweep(*GRID)
    (tmp_path / "outputs" / "depth" / ".hydra").mkdir()
    (tmp_path / "outputs" / "depth" / ".hydra" / "config.yaml").touch()
    with pytest.raises(UserError, match="outputs/depth: holds a single run"):
        sweep(*GRID)


def test_launchers_of_others_are_refused(sweep):
    with pytest.raises(UserError, match="hydra/launcher=basic: must be one of local, joblib, slurm, ray"):
        sweep(*GRID, "hydra/launcher=basic")


def test_a_group_chooses_the_launcher_too(sweep, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert sweep(*GRID, "launcher=joblib", "hydra.launcher.n_jobs=2") == [A, B, C, D]
