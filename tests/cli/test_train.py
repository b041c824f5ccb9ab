from __future__ import annotations

import json
import math
import os
import re
import socket

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.builders import write_mnist
from helpers.process import TINY, Started, command, fails, forked, succeeds
from pixelcnn_lit import load
from pixelcnn_lit.reporting.collect import validations
from pixelcnn_lit.storage import run_folder


def test_a_run_leaves_what_the_design_says(trained):
    run, _ = trained
    left = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    expected = {
        ".hydra/config.yaml",
        "train.log",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "metrics.json",
        "samples.png",
        "completions.png",
    }
    assert expected <= left
    for picture in ("samples.png", "completions.png"):
        with Image.open(run / picture) as image:
            assert image.width > 800


def test_metrics_json_holds_the_promised_numbers(trained):
    run, output = trained
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["epochs"] == 2
    assert metrics["source"] == "torchvision"
    assert metrics["levels"] == 2
    assert metrics["test/nats_per_image"] == pytest.approx(metrics["test/bits_per_dim"] * 784 * math.log(2))
    assert metrics["params"] == sum(p.numel() for p in load(run / metrics["best_ckpt"]).parameters())
    assert metrics["command"].startswith(f"python -m pixelcnn_lit.train {TINY[0]} ")
    for key in ("val/bits_per_dim", "data", "train_seconds", "images_per_second", "git"):
        assert key in metrics
    assert f"{metrics['test/bits_per_dim']:.4f}" in output
    assert "epoch   2/2" in output
    log = (run / "train.log").read_text()
    assert log.count("epoch   2/2") == output.count("epoch   2/2") == 1
    assert "finished: test" in log


def test_a_run_of_the_same_name_is_recognised_and_not_repeated(trained, mnist_dir):
    run, _ = trained
    cwd, common = run.parents[1], [*TINY, f"data.dir={mnist_dir}", "name=tiny"]
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.suffix != ".log"}
    metrics = json.loads((run / "metrics.json").read_text())
    output = succeeds(forked("train", *common, cwd=cwd))
    assert f"outputs/tiny is finished: test {metrics['test/bits_per_dim']:.4f} bits/dim" in output
    fails(forked("train", *common, "model.hidden=5", "seed=1", cwd=cwd), "seed=0, not 1; model.hidden=4, not 5")
    with run_folder.held(run):
        fails(forked("train", *common, cwd=cwd), "outputs/tiny: another process is writing there", str(os.getpid()))
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after.pop(run / ".lock") > before.pop(run / ".lock")
    assert after == before


def test_tensorboard_holds_curves_pictures_and_hyperparameters(trained):
    run, _ = trained
    scalars, images, plugins = set(), set(), set()
    assert len(list((run / "tensorboard").glob("*tfevents*"))) == 1
    for file in (run / "tensorboard").iterdir():
        if "tfevents" in file.name:
            events = EventAccumulator(str(file)).Reload()
            scalars |= set(events.Tags()["scalars"])
            images |= set(events.Tags()["images"])
            plugins |= set(events.summary_metadata)
    bits = {"bits_per_dim/train", "bits_per_dim/val", "bits_per_dim/test", "bits_per_dim/best_val"}
    assert bits | {"training/images_per_second"} <= scalars
    assert any(tag.startswith("training/lr-") for tag in scalars)
    assert {"pictures/samples", "pictures/completions", "pictures/bits"} == images
    assert {tag.partition("/")[0] for tag in scalars} == {"bits_per_dim", "training"}
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= plugins


def test_a_training_that_ends_inside_its_first_epoch_has_a_best_checkpoint_too(tmp_path, mnist_dir):
    common = [*TINY, f"data.dir={mnist_dir}", "logger=none", "hydra.run.dir=short"]
    succeeds(forked("train", *common, "trainer.max_steps=1", cwd=tmp_path))
    metrics = json.loads((tmp_path / "short" / "metrics.json").read_text())
    (only,) = validations(tmp_path / "short")
    assert (only["steps"], only["bits_per_dim"]) == (1, pytest.approx(metrics["val/bits_per_dim"], abs=1e-6))
    assert load(tmp_path / "short" / metrics["best_ckpt"]).levels == 2


def test_a_checkpoint_of_another_model_is_not_resumed(trained, tmp_path, mnist_dir):
    ckpt = f"ckpt={trained[0] / 'checkpoints' / 'last.ckpt'}"
    result = forked("train", *TINY, f"data.dir={mnist_dir}", ckpt, "model.hidden=5", cwd=tmp_path)
    fails(result, "model.hidden=5", "was trained with 4")


SHARED = [*TINY, "data.dir=.", "trainer.max_epochs=1", "logger=none", "optimizer.warmup_steps=0"]
HALF = ["trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=8"]


@pytest.fixture(scope="module")
def of_one_process(tmp_path_factory):
    """A run of one process, in a folder with its data, whose last batches are not shared out evenly."""
    cwd = tmp_path_factory.mktemp("shared")
    write_mnist(cwd, train=49, test=21)
    succeeds(forked("train", *SHARED, "trainer=cpu", "hydra.run.dir=outputs/one", cwd=cwd))
    return cwd / "outputs" / "one"


def left_alike(run, one):
    """A run took the steps of another one, and left as much."""
    metrics, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (run, one))
    for key in ("test/bits_per_dim", "val/bits_per_dim"):
        assert metrics[key] == pytest.approx(expected[key], abs=1e-5)
    means = [re.search(r"train ([\d.]+)", (folder / "train.log").read_text()) for folder in (run, one)]
    assert float(means[0][1]) == pytest.approx(float(means[1][1]), abs=2e-4)
    files, as_many = (sorted(path.relative_to(folder) for path in folder.rglob("*")) for folder in (run, one))
    assert files == as_many
    weights, others = (load(folder / "checkpoints" / "last.ckpt").state_dict() for folder in (run, one))
    for name, weight in weights.items():
        assert (others[name] - weight).abs().max() < 1e-4


def test_two_processes_under_a_sweep_do_as_one_with_twice_the_batch(of_one_process):
    cwd = of_one_process.parents[1]
    succeeds(forked("train", "-m", *SHARED, *HALF, "trainer.devices=2", "seed=0", "name=two", cwd=cwd))
    left_alike(cwd / "outputs" / "two" / "run", of_one_process)


def test_two_nodes_do_as_one_process_with_twice_the_batch(of_one_process):
    cwd = of_one_process.parents[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"]
    train = ["-m", "pixelcnn_lit.train", *SHARED, *HALF, "trainer.devices=1", "trainer.num_nodes=2", "name=nodes"]
    agents = [
        Started("-m", "torch.distributed.run", *nodes, f"--node-rank={rank}", *train, cwd=cwd) for rank in range(2)
    ]
    for agent in agents:
        succeeds(agent.wait())
    left_alike(cwd / "outputs" / "nodes", of_one_process)


def test_help_teaches_at_once(tmp_path):
    output = succeeds(command("train", "--help", cwd=tmp_path))
    for part in ("experiment=quickstart", "model.n_res=5,15", "optimizer: adam_exponential, adamw, muon", "ckpt="):
        assert part in output
    assert list(tmp_path.iterdir()) == []
