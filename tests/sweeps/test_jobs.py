from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.sweeps.jobs import Job, folder_name, grid


def parsed(*overrides):
    return OverridesParser.create().parse_overrides(list(overrides))


def test_a_grid_is_every_combination_in_folders_that_say_which():
    overrides = ["name=depth", "model.n_res=5,15", "data.levels=2,4", "sweep=grid", "overwrite=true"]
    jobs = grid(parsed(*overrides), Path("outputs/depth"))
    assert [job.name for job in jobs] == [
        "model.n_res-5+data.levels-2",
        "model.n_res-5+data.levels-4",
        "model.n_res-15+data.levels-2",
        "model.n_res-15+data.levels-4",
    ]
    assert jobs[1].overrides == ("name=depth", "model.n_res=5", "data.levels=4")
    assert jobs[1].swept == ("model.n_res=5", "data.levels=4")
    assert jobs[1].arguments()[-1] == "hydra.run.dir=outputs/depth/model.n_res-5+data.levels-4"


def test_the_same_combination_is_one_job():
    assert len(grid(parsed("seed=1,2,1", "model.n_res=5"), Path("a"))) == 2
    assert [job.name for job in grid(parsed("seed=1"), Path("a"))] == ["run"]


def test_jobs_that_differ_in_case_alone_have_folders_that_do_not():
    jobs = grid(parsed("data.path=cats,Cats,CATS"), Path("a"))
    assert [job.name.lower()[:14] for job in jobs] == ["data.path-cats"] * 3
    assert len({job.name.lower() for job in jobs}) == 3
    assert jobs[0].name == "data.path-cats"
    assert jobs == grid(parsed("data.path=cats,Cats,CATS"), Path("a"))


def test_an_interval_has_no_grid():
    with pytest.raises(UserError, match=r"optimizer.lr=interval\(0.1,1\): a grid needs values"):
        grid(parsed("optimizer.lr=interval(0.1,1)"), Path("a"))


def test_names_need_no_quotes_and_stay_apart():
    names = [folder_name([f"trainer.max_time={value}"]) for value in ("'00:01:00'", "'00_01_00'", "{a: 1}", "x" * 300)]
    assert len(set(names)) == 4
    for name in names:
        assert len(name) < 200
        (override,) = parsed(f"ckpt=outputs/{name}/checkpoints/best.ckpt")
        assert override.value() == f"outputs/{name}/checkpoints/best.ckpt"


@pytest.mark.parametrize("folder", ["/tmp/a b/x,y=1", "it's", "back\\slash"])
def test_any_folder_survives_the_command(folder):
    override = parsed(Job(Path(folder), ()).arguments()[-1])[0]
    assert override.value() == folder


def test_a_job_is_told_by_what_was_swept_with_short_numbers(tmp_path):
    swept = ("optimizer.lr=0.0044136730191800", "model=pixelcnn", "data.levels=24")
    assert Job(tmp_path / "a", swept, swept).told == "optimizer.lr=0.00441 model=pixelcnn data.levels=24"
    assert Job(tmp_path / "a", swept).told == "a"
