"""The models that come with the package are what their figures say, and small."""

from __future__ import annotations

import json

import pytest
import torch

import pixelcnn_lit
from helpers.builders import write_checkpoint
from helpers.process import fails, forked, succeeds
from pixelcnn_lit import UserError, build
from pixelcnn_lit.analysis import shipped
from pixelcnn_lit.config import compose
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.storage.archive import read_safetensors

FILES = shipped.shipped()


def test_all_of_them_are_a_small_part_of_the_package():
    assert {"digits", "mnist256"} <= FILES.keys()
    assert sum(path.stat().st_size for path in FILES.values()) < 4_000_000


@pytest.mark.parametrize("name", FILES)
def test_a_model_gives_the_figure_that_it_is_shipped_with(name):
    density, trained = checkpoint.load_with_config(FILES[name])
    figures = shipped.known(FILES[name])["shipped"]
    assert shipped.of_digits(density, trained) == pytest.approx(figures["of_digits"], abs=1e-5)
    assert FILES[name].stat().st_size <= shipped.MOST_BYTES
    assert all(weight.dtype == torch.float16 for weight in read_safetensors(FILES[name])[0].values())
    assert 0 < figures["test/bits_per_dim"] < (3 if trained.data.name == "fashion_mnist" else 2)
    assert abs(figures["test/bits_per_dim"] - figures[shipped.FLOAT32]) <= shipped.WORST
    assert getattr(trained.data, "source", None) != "torchvision"  # what one machine had is not asked of another
    assert "/" not in json.dumps(trained.model_dump(mode="json", include={"data", "ckpt", "weights", "name"}))


def test_every_command_takes_them(tmp_path):
    output = succeeds(forked("sample", "ckpt=pretrained:digits", "n=4", cwd=tmp_path))
    assert "4 samples" in output
    assert pixelcnn_lit.load("pretrained:digits").levels == 4


def test_the_list_says_of_each_its_figures_its_test_images_and_its_seed(tmp_path):
    rows = succeeds(forked("pretrained", cwd=tmp_path)).splitlines()
    for name, path in FILES.items():
        own = shipped.known(path)
        figures = own["shipped"]
        (row,) = (line for line in rows if line.startswith(f"│ {name} "))
        cells = [cell.strip() for cell in row.split("│")]
        assert cells[4:6] == [f"{figures['test/bits_per_dim']:.5f}", f"{figures[shipped.FLOAT32]:.5f}"]
        told = f"seed {own['config']['seed']}, {figures['images']:,} test images ({figures['source']}), "
        assert any(line.startswith(f"{name}, {figures['date']}, {told}") for line in rows)


def test_a_name_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    fails(forked("sample", "ckpt=pretrained:cats", cwd=tmp_path), "must be one of pretrained:digits")
    before = FILES["digits"].read_bytes()
    forked("export", "ckpt=pretrained:mnist256", "out=pretrained:digits.safetensors", cwd=tmp_path)
    assert FILES["digits"].read_bytes() == before
    with pytest.raises(UserError, match="must be one of pretrained:digits"):
        pixelcnn_lit.load("pretrained:cats")


def test_a_model_that_float16_spoils_is_not_shipped(tmp_path, mnist_dir, monkeypatch):
    overrides = ["model.n_res=1", "model.hidden=4", "data.levels=4", f"data.dir={mnist_dir}", "data.source=torchvision"]
    write_checkpoint(tmp_path / "a.ckpt", build(overrides), overrides)
    out = tmp_path / "a.safetensors"
    for bound, value, message in (("WORST", -1.0, "in float16 it has"), ("MOST_BYTES", 100, "at most 100")):
        with monkeypatch.context() as patch:
            patch.setattr(shipped, bound, value)
            with pytest.raises(UserError, match=message):
                shipped.ship(tmp_path / "a.ckpt", out, "train it")
        assert not out.exists()
    figures = shipped.ship(tmp_path / "a.ckpt", out, "train it")
    loaded, _ = checkpoint.load_with_config(out)
    assert shipped.of_digits(loaded, compose(overrides)) == pytest.approx(figures["of_digits"], abs=1e-6)
