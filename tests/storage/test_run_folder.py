from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder

HYDRA = {"overrides": {"task": ["seed=3"]}}


def start(folder, *overrides):
    """Leave what a run leaves that was started, and was then killed."""
    config = compose(overrides)
    run_folder.record(folder, config, overrides, HYDRA)
    return config


def test_a_folder_goes_through_the_states_of_its_run(tmp_path):
    assert run_folder.status(tmp_path / "none").state == "not started"
    config = start(tmp_path)
    assert run_folder.status(tmp_path).state == "interrupted"
    with run_folder.claimed(tmp_path, config) as done:
        assert done is None
        assert run_folder.status(tmp_path).state == "running"
    run_folder.stop(tmp_path, "failed", "out of memory")
    assert run_folder.status(tmp_path) == run_folder.Status("failed", reason="out of memory")
    start(tmp_path)
    assert run_folder.status(tmp_path).state == "interrupted"
    (tmp_path / "metrics.json").write_text('{"test/bits_per_dim": 0.5')
    assert run_folder.status(tmp_path).state == "interrupted"
    assert "metrics.json: damaged" in run_folder.status(tmp_path).reason
    (tmp_path / "metrics.json").write_text('{"test/bits_per_dim": 0.5}')
    assert run_folder.status(tmp_path).state == "finished"
    with run_folder.claimed(tmp_path, config) as done:
        assert done == {"test/bits_per_dim": 0.5}


def test_a_changed_config_is_refused_with_the_keys_that_differ(tmp_path):
    start(tmp_path, "model.n_res=5", "optimizer.lr=0.01")
    config = compose(["model.n_res=6", "optimizer.lr=0.02", "data.dir=elsewhere", "name=moved"])
    go_on = rf"Choose another name \(with ckpt={tmp_path}/checkpoints/last.ckpt to go on from there\), or start over"
    with (
        pytest.raises(UserError, match=rf"optimizer.lr=0.01, not 0.02; model.n_res=5, not 6. {go_on}"),
        run_folder.claimed(tmp_path, config),
    ):
        pass
    assert run_folder.differences(tmp_path, compose(["model.n_res=5", "optimizer.lr=0.01", "data.dir=x"])) == []


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
    with run_folder.claimed(tmp_path, config) as done:
        assert done is None
    assert (tmp_path / "checkpoints").exists()
    monkeypatch.delenv("RANK")
    with run_folder.claimed(tmp_path, config) as done:
        assert done is None
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "train.log", ".hydra", ".lock"}
    with log:
        print("of this run", file=log)
    assert (tmp_path / "train.log").read_text() == "of this run\n"

    start(tmp_path, "model.n_res=6", "overwrite=true")
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with run_folder.claimed(tmp_path, config):
        assert (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("file", ["csv/data.csv", "samples.png", "checkpoints/other.pt"])
@pytest.mark.parametrize("foreign", [False, True])
def test_overwriting_takes_nothing_from_a_folder_without_a_run(tmp_path, file, foreign):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    if foreign:
        (tmp_path / "metrics.json").write_text('{"accuracy": 1}')
    name = file.partition("/")[0]
    with (
        pytest.raises(UserError, match=rf"overwrite=true: .* holds .*{name}.*, and no run that they could be of"),
        run_folder.claimed(tmp_path, compose(["overwrite=true"])),
    ):
        pass
    assert (tmp_path / file).exists()


@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_a_run_does_not_begin_in_the_folder_of_a_sweep(tmp_path, overwrite):
    (tmp_path / run_folder.SWEEP).touch()
    with (
        pytest.raises(UserError, match=r"holds a sweep; give the run another name"),
        run_folder.claimed(tmp_path, compose([f"overwrite={overwrite}"])),
    ):
        pass


def test_what_goes_on_is_the_same_command_but_for_what_would_delete_the_run():
    told = [
        run_folder.same_command(overwrite=overwrite, named=named, where="ckpt=a/last.ckpt")
        for overwrite in (False, True)
        for named in (True, False)
    ]
    assert told == [
        "the same command",
        "the same command with ckpt=a/last.ckpt",
        "the same command without overwrite=true",
        "the same command without overwrite=true with ckpt=a/last.ckpt",
    ]


def test_one_process_at_a_time_and_the_lock_ends_with_it(tmp_path):
    code = "import sys, time, pathlib\nfrom pixelcnn_lit.storage.run_folder import held\n"
    code += "with held(pathlib.Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"in\n"
    assert run_folder.locked(tmp_path)
    with (
        pytest.raises(UserError, match=f"there .process {other.pid} on"),
        run_folder.held(tmp_path),
    ):
        pass
    other.kill()
    with run_folder.held(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()
    other.wait()
    other.stdout.close()
    assert not run_folder.locked(tmp_path)


def test_a_damaged_record_is_named(tmp_path):
    config = start(tmp_path)
    path = tmp_path / ".hydra" / "config.yaml"
    path.write_text("data: [")
    with (
        pytest.raises(UserError, match=r"config.yaml: damaged; overwrite=true starts over"),
        run_folder.claimed(tmp_path, config),
    ):
        pass
    plain = {key: value for key, value in config.model_dump(mode="json").items() if key != "overwrite"}
    path.write_text(json.dumps(plain))
    with run_folder.claimed(tmp_path, config) as done:
        assert done is None


def test_runs_that_start_in_the_same_second_get_folders_of_their_own(tmp_path):
    names = [run_folder.new_folder(tmp_path, "quickstart/2026-01-01_00-00-00") for _ in range(3)]
    assert names == [f"quickstart/2026-01-01_00-00-00{end}" for end in ("", "-2", "-3")]
    assert all((tmp_path / name).is_dir() for name in names)
    (tmp_path / "file").write_text("")
    assert run_folder.new_folder(tmp_path / "file", "a") == "a"


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (b'{"test/bits_per_dim": 0.5', "no whole JSON ("),
        (b"", "no whole JSON ("),
        (b"\x80\x00", "no whole JSON ("),
        (b"[" * 100_000, "no whole JSON ("),
        (b"[0.5]", "no object of names and values, as JSON, but a list"),
        (b'{"bits": 0.5}', "it has no test score, test/bits_per_dim or test/mse"),
        (b'{"test/bits_per_dim": "low"}', 'test/bits_per_dim is "low", where a number is expected'),
        (b'{"test/bits_per_dim": 0.5, "params": 1.5}', "params is 1.5, where a whole number is expected"),
        (b'{"test/bits_per_dim": 0.5, "epochs": [3]}', "epochs is [3], where a number is expected"),
    ],
)
def test_damaged_metrics_are_told_in_one_line(left, told, tmp_path):
    (tmp_path / "metrics.json").write_bytes(left)
    status = run_folder.status(tmp_path)
    assert (status.state, status.metrics) == ("interrupted", None)
    assert status.reason.startswith(f"{tmp_path / 'metrics.json'}: damaged: {told}")
    assert len(status.reason.splitlines()) == 1
