from __future__ import annotations

import json

import hydra
import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from pixelcnn_lit import command, runs
from pixelcnn_lit.config import conf_dir
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.sweeps import launcher


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Sweep in ``tmp_path`` with jobs that do nothing but finish; gives the names of those that ran."""
    monkeypatch.chdir(tmp_path)
    OmegaConf.register_new_resolver("folder", command.folder_name, replace=True)

    def run(*overrides, fails=(), interrupts=()):
        from hydra.core.plugins import Plugins

        ran = []

        def carry_out(self, jobs):
            for job in jobs:
                if job.name in interrupts:
                    raise KeyboardInterrupt
                ran.append(job.name)
                if job.name in fails:
                    runs.stop(job.folder, "failed", "out of memory")
                else:
                    (job.folder / "metrics.json").write_text(json.dumps(result(job)))

        monkeypatch.setattr(launcher.LocalLauncher, "run", carry_out)
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            loaded = GlobalHydra.instance().hydra
            config = loaded.compose_config("train", list(overrides), RunMode.MULTIRUN, with_log_configuration=False)
            context = HydraContext(config_loader=loaded.config_loader, callbacks=Callbacks(config))
            sweeper = Plugins.instance().instantiate_sweeper(
                config=config, hydra_context=context, task_function=lambda config: None
            )
            try:
                sweeper.sweep(list(config.hydra.overrides.task))
            finally:
                run.ran = ran
        return ran

    return run


def result(job):
    values = dict(override.split("=") for override in job.overrides)
    score = float(values.get("optimizer.lr", 1)) + float(values["model.n_res"])
    return {"test/bits_per_dim": score, "val/bits_per_dim": score}


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


def test_a_wrong_value_fails_before_anything_runs_and_the_others_run(sweep, tmp_path):
    with pytest.raises(UserError, match=r"2 of 4 jobs failed; .*: data.levels=1: must be an integer from 2 to 256"):
        sweep("name=depth", "model.n_res=1,2", "data.levels=1,2")
    assert sweep.ran == ["model.n_res-1+data.levels-2", "model.n_res-2+data.levels-2"]
    assert runs.status(tmp_path / "outputs/depth/model.n_res-1+data.levels-1").state == "failed"


def test_a_changed_config_is_refused_before_anything_runs(sweep, tmp_path):
    sweep(*GRID)
    folder = tmp_path / "outputs" / "depth" / D
    from pixelcnn_lit.config import compose

    config = compose(["model.n_res=2", "data.levels=4"])
    runs.record(folder, OmegaConf.create(config.model_dump(mode="json")), OmegaConf.create({"overrides": {"task": []}}))
    with pytest.raises(UserError, match=r"optimizer.lr=0.001, not 0.01"):
        sweep(*GRID, "optimizer.lr=0.01")
    assert sweep.ran == []
    assert sweep(*GRID, "optimizer.lr=0.01", "overwrite=true") == [A, B, C, D]


def test_one_sweep_at_a_time_and_not_where_a_run_is(sweep, tmp_path):
    with runs.held(tmp_path / "outputs" / "depth"), pytest.raises(UserError, match="another process is writing"):
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
