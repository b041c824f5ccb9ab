"""The codes of a trained autoencoder as a data set: computed once, kept in a file, those of its checkpoint alone."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch

from helpers.running import CODED, TINY, ScriptedRun
from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config import compose, compose_vqvae
from pixelcnn_lit.data.images import PARTS, ImageData
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import checkpoint

GIVEN = ("ckpt=nothing", "levels=8", "image_shape=[1,14,14]", "n_classes=10", "factor=2")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No power cut is simulated here: waiting for the disk would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def folder(mnist_dir, tmp_path_factory):
    """The folder of an autoencoder's run, as the command vqvae leaves it."""
    folder = tmp_path_factory.mktemp("vq")
    options = [*CODED, f"data.dir={mnist_dir}", "data.levels=16", "trainer.max_epochs=1"]
    ScriptedRun(compose_vqvae(options).first, folder / "autoencoder").go()
    return folder


def data_of(folder, kept, *overrides, level="bottom"):
    context = ["context=codes"] if level == "bottom" else []
    place = ["data=codes", f"data.ckpt={folder}", f"data.level={level}", f"data.dir={kept}"]
    config = compose([*place, *context, *overrides])
    return ImageData(config.data, 0, context=config.context)


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_the_codes_are_those_of_the_autoencoder(folder, tmp_path, level):
    model, trained = checkpoint.load_autoencoder(folder)
    images = ImageData(trained.data, 0)
    codes = data_of(folder, tmp_path, level=level)
    for part in PARTS:
        x, y, *context = codes.split(part)[:]
        top, bottom = model.encode(images.split(part).images)
        assert x.dtype == torch.uint8
        assert torch.equal(x, top if level == "top" else bottom)
        assert torch.equal(y, images.split(part).labels)
        if level == "bottom":
            assert torch.equal(context[0].argmax(1, keepdim=True), top)
            assert torch.equal(context[0].sum(1), torch.ones(len(x), 7, 7))
    assert codes.class_names == images.class_names


def test_what_is_not_told_is_the_autoencoder_s(folder, tmp_path):
    for level, shape, factor in (("top", (1, 7, 7), None), ("bottom", (1, 14, 14), 2)):
        config = data_of(folder, tmp_path, level=level).config
        assert (config.levels, config.image_shape, config.factor, config.n_classes) == (8, shape, factor, 10)
        assert config.digest is not None


def test_they_are_computed_once(folder, tmp_path, monkeypatch):
    first = data_of(folder, tmp_path).split("train")[:]
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr(Autoencoder, "encode", None)
    for again, before in zip(data_of(folder, tmp_path).split("train")[:], first, strict=True):
        assert torch.equal(again, before)
    data_of(folder, tmp_path, level="top").setup()
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "replaced"])
def test_a_damaged_file_is_made_anew(folder, tmp_path, damage):
    before = data_of(folder, tmp_path).split("test")[:]
    (kept,) = tmp_path.iterdir()
    content = bytearray(kept.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 255
    if damage == "replaced":
        np.savez(kept, train_top=np.zeros(3))
    else:
        kept.write_bytes({"cut": content[:middle], "flipped": content, "emptied": b""}[damage])
    for again, one in zip(data_of(folder, tmp_path).split("test")[:], before, strict=True):
        assert torch.equal(again, one)


def test_another_checkpoint_has_another_file(folder, tmp_path):
    kept, other = tmp_path / "kept", tmp_path / "vq"
    first = data_of(folder, kept)
    first.setup()
    shutil.copytree(folder, other)
    best = other / "autoencoder" / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    for name, weight in content["state_dict"].items():
        if name.startswith("autoencoder.project") and name.endswith("weight"):
            weight.neg_()
    checkpoint.write(best, content)
    second = data_of(other, kept)
    assert not torch.equal(first.split("test").images, second.split("test").images)
    assert len(list(kept.iterdir())) == 2
    assert first.config.digest != second.config.digest
    with pytest.raises(UserError, match="it is another autoencoder"):
        data_of(other, kept, f"data.digest={first.config.digest}").setup()


def test_codes_beyond_a_byte(mnist_dir, tmp_path):
    options = [*CODED, f"data.dir={mnist_dir}", "autoencoder.n_codes=300", "trainer.max_epochs=1"]
    ScriptedRun(compose_vqvae(options).first, tmp_path / "vq" / "autoencoder").go()
    codes = data_of(tmp_path / "vq", tmp_path / "kept")
    x = codes.split("test").images
    assert x.dtype == torch.int16
    assert codes.split("test")[:2][2].shape == (2, 300, 7, 7)
    config = [*TINY, "data=codes", f"data.ckpt={tmp_path / 'vq'}", f"data.dir={tmp_path / 'kept'}", "data.levels=300"]
    sizes = [option for option in config if not option.startswith("data.source")]
    density = ScriptedRun(compose([*sizes, "trainer.max_epochs=1"]), tmp_path / "top").go().density
    drawn = density.eval().sample(2, seed=0)
    assert drawn.dtype == torch.int16
    assert torch.equal(drawn, density.sample(2, seed=0, method="naive"))
    assert density.log_prob(drawn).shape == (2,)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.level=middle"], "data.level=middle: the autoencoder has top, bottom"),
        (["data.level=left"], "data.level=left: the autoencoder has top, bottom"),
        (["data.levels=9"], "data.levels=9: .* has 8 codes"),
        (["data.image_shape=[1,7,7]"], "data.image_shape"),
        (["data.level=top", "context=codes"], "context=codes: needs data=codes of a level below the top"),
        (["data.embedding=0"], "data.embedding=0"),
        ([f"data.{key}" for key in GIVEN], "nothing: no such file"),
    ],
)
def test_what_does_not_fit_is_refused(folder, tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        data_of(folder, tmp_path, *overrides).setup()


def test_a_run_of_a_density_has_no_codes(mnist_dir, tmp_path):
    ScriptedRun(compose([*TINY, f"data.dir={mnist_dir}", "trainer.max_epochs=1"]), tmp_path / "run").go()
    with pytest.raises(UserError, match="is of no autoencoder"):
        data_of(tmp_path / "run", tmp_path)
