from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from pixelcnn_lit import runs
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError

HYDRA = OmegaConf.create({"overrides": {"task": ["seed=3"]}})


def start(folder, *overrides):
    """Leave what a run leaves that was started, and was then killed."""
    config = compose(overrides)
    runs.record(folder, OmegaConf.create(config.model_dump(mode="json")), HYDRA)
    return config


def test_a_folder_goes_through_the_states_of_its_run(tmp_path):
    assert runs.status(tmp_path / "none").state == "not started"
    config = start(tmp_path)
    assert runs.status(tmp_path).state == "interrupted"
    with runs.claimed(tmp_path, config) as done:
        assert done is None
        assert runs.status(tmp_path).state == "running"
    runs.stop(tmp_path, "failed", "out of memory")
    assert runs.status(tmp_path) == runs.Status("failed", reason="out of memory")
    start(tmp_path)
    assert runs.status(tmp_path).state == "interrupted"
    (tmp_path / "metrics.json").write_text('{"test/bits_per_dim": 0.5')
    assert runs.status(tmp_path).state == "interrupted"
    (tmp_path / "metrics.json").write_text('{"test/bits_per_dim": 0.5}')
    assert runs.status(tmp_path).state == "finished"
    with runs.claimed(tmp_path, config) as done:
        assert done == {"test/bits_per_dim": 0.5}


def test_a_changed_config_is_refused_with_the_keys_that_differ(tmp_path):
    start(tmp_path, "model.n_res=5", "optimizer.lr=0.01")
    config = compose(["model.n_res=6", "optimizer.lr=0.02", "data.dir=elsewhere", "name=moved"])
    with (
        pytest.raises(UserError, match=r"model.n_res=5, not 6; optimizer.lr=0.01, not 0.02. Choose another name"),
        runs.claimed(tmp_path, config),
    ):
        pass
    assert runs.differences(tmp_path, compose(["model.n_res=5", "optimizer.lr=0.01", "data.dir=x"])) == []


def test_overwriting_takes_away_what_a_run_left_and_nothing_else(tmp_path, monkeypatch):
    start(tmp_path, "model.n_res=5")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "metrics.json").write_text('{"test/bits_per_dim": 0.5}')
    (tmp_path / "notes.txt").touch()
    log = (tmp_path / "train.log").open("a")
    print("of the run before", file=log, flush=True)
    config = compose(["model.n_res=6", "overwrite=true"])
    monkeypatch.setenv("RANK", "1")
    with runs.claimed(tmp_path, config) as done:
        assert done is None
    assert (tmp_path / "checkpoints").exists()
    monkeypatch.delenv("RANK")
    with runs.claimed(tmp_path, config) as done:
        assert done is None
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "train.log", ".hydra", ".lock"}
    with log:
        print("of this run", file=log)
    assert (tmp_path / "train.log").read_text() == "of this run\n"
    start(tmp_path, "model.n_res=6", "overwrite=true")
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with runs.claimed(tmp_path, config):
        assert (tmp_path / "checkpoints").exists()


def test_one_process_at_a_time_and_the_lock_ends_with_it(tmp_path):
    code = "import sys, time, pathlib, pixelcnn_lit.runs as runs\nwith runs.held(pathlib.Path(sys.argv[1])):"
    code += " print('in', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"in\n"
    assert runs.locked(tmp_path)
    with (
        pytest.raises(UserError, match=f"there .process {other.pid} on"),
        runs.held(tmp_path),
    ):
        pass
    other.kill()
    with runs.held(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()
    other.wait()
    other.stdout.close()
    assert not runs.locked(tmp_path)


def test_a_damaged_record_is_named(tmp_path):
    config = start(tmp_path)
    path = tmp_path / ".hydra" / "config.yaml"
    path.write_text("data: [")
    with (
        pytest.raises(UserError, match=r"config.yaml: damaged; overwrite=true starts over"),
        runs.claimed(tmp_path, config),
    ):
        pass
    plain = {key: value for key, value in config.model_dump(mode="json").items() if key != "overwrite"}
    path.write_text(json.dumps(plain))
    with runs.claimed(tmp_path, config) as done:
        assert done is None
