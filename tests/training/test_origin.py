from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console

import pixelcnn_lit
from helpers.running import TINY, ScriptedRun
from pixelcnn_lit.config import compose
from pixelcnn_lit.device import name_of
from pixelcnn_lit.errors import Interrupted
from pixelcnn_lit.reporting.collect import validations
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training import origin
from pixelcnn_lit.training.parts import differences
from pixelcnn_lit.training.run import Run
from pixelcnn_lit.training.summary import table


def test_the_revision_is_that_of_the_checkout_that_holds_the_code(tmp_path, monkeypatch):
    repository = tmp_path / "somebodys"
    package = repository / "site-packages"
    package.mkdir(parents=True)
    (package / "origin.py").write_text("")
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    subprocess.run([*run, "commit", "--quiet", "--allow-empty", "-m", "theirs"], cwd=repository, check=True)
    monkeypatch.setattr(origin, "__file__", str(package / "origin.py"))
    assert origin.git_revision() is None
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    assert origin.git_revision().endswith("-dirty")
    monkeypatch.setattr(origin, "__file__", str(tmp_path / "origin.py"))
    assert origin.git_revision() is None


def options(mnist_dir):
    return [*TINY, f"data.dir={mnist_dir}", "callbacks.early_stopping.patience=null", "trainer.val_check_interval=5"]


def test_the_metrics_say_what_made_them(mnist_dir, tmp_path):
    overrides = [*options(mnist_dir), "data.binarize=dynamic", "callbacks.pictures.n=4"]
    run = Run(compose(overrides), tmp_path, told=(overrides, {"a": 1}))
    run.fit()
    run.conclude()
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["command"] == "python -m pixelcnn_lit.train " + " ".join(overrides)
    assert abs(datetime.fromisoformat(written["date"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert (written["machine"], written["threads"]) == (name_of(torch.device("cpu")), torch.get_num_threads())
    assert (written["torch"], written["version"]) == (torch.__version__, pixelcnn_lit.__version__)
    assert written["binarize"] == "dynamic"
    assert 0 < written["processor_seconds"] < 10 * written["train_seconds"] + 1
    curve = validations(tmp_path)
    assert [row["steps"] for row in curve] == [5, 10, 16, 21, 27, 32, 33]
    for name in ("seconds", "processor_seconds"):
        seconds = [row[name] for row in curve]
        assert seconds == sorted(seconds)
        assert seconds[-1] <= written["train_seconds" if name == "seconds" else name] + 0.1


def test_the_code_is_that_of_the_start_and_the_command_has_its_folders_of_configs(mnist_dir, tmp_path, monkeypatch):
    overrides = [*options(mnist_dir), "trainer.max_steps=1"]
    sources = [
        {"path": "file:///home/me/conf", "provider": "command-line"},
        {"path": "hydra.conf", "provider": "hydra"},
    ]
    monkeypatch.setattr("pixelcnn_lit.training.base_run.git_revision", lambda: "before")
    run = Run(
        compose(overrides), tmp_path, told=(overrides, OmegaConf.create({"runtime": {"config_sources": sources}}))
    )
    run.fit()
    monkeypatch.setattr("pixelcnn_lit.training.base_run.git_revision", lambda: "after")
    metrics = run.conclude()
    assert metrics.git == "before"
    assert metrics.command.startswith("python -m pixelcnn_lit.train --config-dir /home/me/conf model.n_res=1 ")


def test_a_run_that_goes_on_with_other_code_says_what_made_each_part(mnist_dir, tmp_path, monkeypatch):
    def trained(steps, revision):
        monkeypatch.setattr("pixelcnn_lit.training.base_run.git_revision", lambda: revision)
        overrides = [*options(mnist_dir), f"trainer.max_steps={steps}"]
        run = Run(compose(overrides), tmp_path, told=(overrides, {"a": 1}))
        run.fit()
        return run.conclude()

    assert trained(2, "one").parts == []
    first = json.loads((tmp_path / "metrics.json").read_text())
    assert "parts" not in first
    assert trained(2, "two").git == "one"  # no step was left to it
    second = trained(4, "two")
    assert [(part["from_step"], part["git"]) for part in second.parts] == [(0, "one"), (2, "two")]
    assert second.parts[0]["command"] == first["command"]
    for key in ("machine", "precision", "torch"):
        assert second.parts[0][key] == first[key]
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["parts"] == second.parts
    assert (written["git"], written["command"]) == ("two", second.parts[1]["command"])


def test_a_run_that_is_concluded_by_another_process_tells_what_trained_it(mnist_dir, tmp_path):
    few = [*options(mnist_dir), "trainer.max_steps=2"]
    run = Run(compose([*few, "trainer.precision=bf16-mixed"]), tmp_path)
    run.fit()
    again = Run(compose(few), tmp_path)
    again.fit()
    metrics = again.conclude()
    assert (metrics.precision, metrics.parts) == ("bf16-mixed", [])


def test_changed_code_that_is_not_committed_is_another_part_each_time(mnist_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("pixelcnn_lit.training.base_run.git_revision", lambda: "abc-dirty")
    for steps in (1, 2):
        run = Run(compose([*options(mnist_dir), f"trainer.max_steps={steps}"]), tmp_path)
        run.fit()
    metrics = run.conclude()
    assert [part["from_step"] for part in metrics.parts] == [0, 1]
    shown = Console(width=100, record=True)
    shown.print(table(metrics, tmp_path))
    text = shown.export_text()
    assert "from step 1" in text
    assert "git abc-dirty" in text


def test_only_code_may_be_dirty():
    before = {"from_step": 0, "command": "train name=a-dirty", "git": "a"}
    assert list(differences([before, {**before, "from_step": 3, "git": "b"}])) == [(3, "git b")]


def test_what_made_the_steps_before_an_older_checkpoint_is_not_known(mnist_dir, tmp_path):
    run = Run(compose([*options(mnist_dir), "trainer.max_steps=1"]), tmp_path)
    run.fit()
    run.conclude()
    last = tmp_path / "checkpoints" / "last.ckpt"
    _, content = checkpoint.read(last)
    del content["callbacks"]["Parts"]
    checkpoint.write(last, content)
    again = Run(compose([*options(mnist_dir), "trainer.max_steps=1"]), tmp_path)
    again.fit()
    none = again.conclude()
    assert (none.git, none.machine, none.threads, none.precision, none.parts) == (None, None, None, None, [])
    run = Run(compose([*options(mnist_dir), "trainer.max_steps=2"]), tmp_path)
    run.fit()
    before, now = run.conclude().parts
    assert (before["from_step"], set(before.values())) == (0, {0, None})
    assert (now["from_step"], now["git"]) == (1, origin.git_revision())


def test_a_run_that_python_code_started_has_no_command(mnist_dir, tmp_path):
    run = Run(compose([*options(mnist_dir), "trainer.max_steps=1"]), tmp_path)
    run.fit()
    assert run.conclude().command is None


def test_a_run_that_goes_on_adds_its_seconds_up(mnist_dir, tmp_path):
    def die():
        raise KeyboardInterrupt

    run = ScriptedRun(compose(options(mnist_dir)), tmp_path, every_minutes=1e-9)
    with pytest.raises(Interrupted):
        run.go(12, die)
    last = tmp_path / "checkpoints" / "last.ckpt"
    before = checkpoint.read(last)[1]["callbacks"]["Throughput"]
    run.go()
    after = checkpoint.read(last)[1]["callbacks"]["Throughput"]
    assert 0 < before["processor_seconds"] < after["processor_seconds"]
    assert 0 < before["seconds"] < after["seconds"]


def test_processor_seconds_that_an_older_run_did_not_count_stay_unknown(mnist_dir, tmp_path):
    """And the curve that it began keeps its columns."""
    short = [*options(mnist_dir), "trainer.max_epochs=1"]
    ScriptedRun(compose(short), tmp_path / "old").go()
    last = tmp_path / "old" / "checkpoints" / "last.ckpt"
    _, content = checkpoint.read(last)
    del content["callbacks"]["Throughput"]["processor_seconds"]
    checkpoint.write(last, content)
    curve = tmp_path / "validation.csv"
    curve.write_text("epochs,steps,bits_per_dim,seconds\n0.45,5,0.9,1.0\n")
    run = Run(compose([*short, "trainer.max_epochs=2", f"ckpt={last}"]), tmp_path)
    run.fit()
    metrics = run.conclude()
    assert metrics.processor_seconds is None
    assert metrics.train_seconds > 0
    assert [sorted(row) for row in validations(tmp_path)] == [["bits_per_dim", "epochs", "seconds", "steps"]] * 4
