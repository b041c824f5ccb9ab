from __future__ import annotations

from helpers.running import leave
from pixelcnn_lit.config import compose_vqvae
from pixelcnn_lit.reporting import collect
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import run_folder


def test_runs_come_best_first_with_what_each_was_told(sweep):
    found = collect.runs_below(sweep)
    assert [run.folder.name for run in found] == ["b", "a", "d", "c"]
    assert [run.status.state for run in found] == ["finished", "finished", "interrupted", "failed"]
    assert collect.swept_keys(found) == ["model.n_res", "data.levels"]
    assert [run.value("model.n_res") for run in found] == ["15", "5", "15", "5"]
    assert (found[2].val, found[2].epochs, found[2].test) == (0.9, 1, None)
    assert found[0].value("model.hidden") == "64"
    assert found[0].value("model") == "pixelcnn"


def test_the_long_numbers_of_a_search_are_shortened(tmp_path):
    leave(tmp_path, "optimizer.lr=0.0029997417348655154", "data.levels=4")
    assert collect.read(tmp_path).label(["optimizer.lr"]) == "lr=0.003"


def test_a_running_run_is_one_whose_folder_is_held(sweep):
    with run_folder.held(sweep / "d"):
        assert collect.read(sweep / "d").status.state == "running"


def test_a_curve_has_each_validation_once_and_no_unfinished_line(tmp_path):
    (tmp_path / "validation.csv").write_text("epochs,steps,bits_per_dim\n1,3,0.9\n2,6,0.8\n2,6,0.7\n3,9,0.6\n4,")
    assert collect.curve(tmp_path, BITS) == ((1, 0.9), (2, 0.7), (3, 0.6))
    assert collect.curve(tmp_path / "none", BITS) == ()


def test_seconds_that_nobody_counted_are_left_out_of_the_validations(tmp_path):
    columns = "epochs,steps,bits_per_dim,seconds,processor_seconds\n"
    (tmp_path / "validation.csv").write_text(columns + "1,3,0.9,1.5,2.5\n2,6,0.8,3.0,\n")
    first, second = collect.validations(tmp_path)
    assert first == {"epochs": 1, "steps": 3, "bits_per_dim": 0.9, "seconds": 1.5, "processor_seconds": 2.5}
    assert second == {"epochs": 2, "steps": 6, "bits_per_dim": 0.8, "seconds": 3}


def test_a_command_can_be_pasted(sweep, monkeypatch):
    monkeypatch.chdir(sweep.parent)
    command = collect.read(sweep / "a").command()
    assert command == ("python -m pixelcnn_lit.train name=depth model.n_res=5 data.levels=4 hydra.run.dir=depth/a")


def test_the_stages_of_a_vqvae_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "vq"
    overrides = ["data=digits", "name=vq"]
    run_folder.record(folder / "autoencoder", compose_vqvae(overrides).first, overrides, {})
    told = ["data=codes", "data.ckpt=outputs/vq", "data.level=top", "data.embedding=8", "model=gated_pixelcnn"]
    sizes = ["model.n_res=1", "model.hidden=8", "model.kernel_size=3", "optimizer.lr=1e-3", "optimizer.warmup_steps=3"]
    more = ["data.batch_size=8", "trainer.max_epochs=2", "callbacks.early_stopping.patience=3", "seed=1"]
    leave(folder / "top", *told, *sizes, *more, bits=0.5)
    top, autoencoder = collect.runs_below(folder)
    assert (top.folder.name, autoencoder.folder.name) == ("top", "autoencoder")
    assert collect.swept_keys([top, autoencoder]) == []
    assert "gated_pixelcnn" in top.command()
    assert top.command().endswith("hydra.run.dir=outputs/vq/top")
    assert autoencoder.command() == "python -m pixelcnn_lit.vqvae data=digits name=vq hydra.run.dir=outputs/vq"
