from __future__ import annotations

import sys

import pytest
import torch
from PIL import Image

from helpers.builders import write_checkpoint
from helpers.process import forked, succeeds
from pixelcnn_lit import build
from pixelcnn_lit.analysis.receptive_field import untrained
from pixelcnn_lit.config import ReceptiveFieldConfig
from pixelcnn_lit.receptive_field import main

TINY = "pixelcnn model.n_res=1 model.hidden=6 data.levels=2"


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command in an empty folder; returns its status, its lines, and those on standard error."""

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["receptive_field", *arguments])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capfd.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def test_a_panel_for_each_network_and_checkpoint(run, tmp_path):
    choices = ["model.n_res=2", "model.hidden=6", "data.levels=2", "data.image_shape=[3,8,8]"]
    write_checkpoint(tmp_path / "best.ckpt", build(choices), choices)
    wish = [f'model="{TINY}","{TINY} model.n_res=2"', "ckpt=best.ckpt", "size=[15,15]", "out=new/rf.png", "dpi=40"]
    status, lines, _ = run(*wish)
    assert status == 0
    assert lines == [
        f"{TINY}: sees 39 pixels, misses 1 in reach",
        f"{TINY} model.n_res=2: sees 57 pixels, misses 3 in reach",
        "best.ckpt: sees 57 pixels, misses 3 in reach",
        "new/rf.png",
    ]
    with Image.open(tmp_path / "new" / "rf.png") as picture:
        assert picture.width > 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out=rf.jpg"], "error: out=rf.jpg: must end in .png"),
        (["models=[]"], "error: models=[]: name at least one network, or a ckpt"),
        (["model=transformer"], "error: In 'train': Could not find 'model/transformer'; available: "),
        (["model='pixelcnn model.n_res=-1'"], "error: model.n_res=-1: must be an integer from 0 to 256"),
        (["models=[]", "ckpt=none.ckpt"], "error: ckpt=none.ckpt: no such file"),
        (
            ["model='pixelcnn context=small'", "size=[15,15]"],
            "error: size=[15, 15]: images with a context 4 times",
        ),
        (["size=[0,5]"], "error: size.0=0: must be an integer from 1 to 4096"),
    ],
)
def test_wrong_input_ends_in_one_line(run, tmp_path, arguments, message):
    status, _, errors = run(*arguments)
    assert status == 1
    assert len(errors) == 1
    assert errors[0].startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_help_teaches(run):
    status, lines, _ = run("--help")
    assert status == 0
    assert any("blind spot" in line for line in lines)


def test_the_same_seed_gives_the_same_field():
    config = {
        "plugins": [],
        "models": TINY,
        "ckpt": None,
        "size": (7, 7),
        "draws": 2,
        "seed": 0,
        "dpi": 50,
        "out": "rf.png",
    }
    first, again, other = (untrained(ReceptiveFieldConfig(**{**config, "seed": seed}))[TINY] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_shipped_model_is_called_as_it_was_typed(tmp_path):
    asked = ["models=[]", "ckpt=pretrained:digits", "size=[9,9]", "draws=1", "out=field.png"]
    output = succeeds(forked("receptive_field", *asked, cwd=tmp_path))
    assert "pretrained:digits: sees " in output
    assert ".safetensors" not in output
