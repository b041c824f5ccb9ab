"""python -m pixelcnn_lit.vqvae: all stages by one command, stopped and gone on with, sampled and read from Python."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.process import Started, fails, forked, succeeds
from pixelcnn_lit import load
from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.vqvae_model import VQVAE

QUICK = ["trainer.max_epochs=2", "data.batch_size=32", "data.levels=4", "logger=none"]
SMALL = ["autoencoder.n_codes=8", "autoencoder.hidden=8", "autoencoder.code_size=4", "autoencoder.decay=0.7"]
SHORT = '"logger=none","trainer.max_epochs=3","data.batch_size=16","data.embedding=8","optimizer.lr=1e-2"'
PRIORS = [
    f'priors.top=["model=pixelsnail","model.n_blocks=1","model.hidden=8",{SHORT}]',
    f'priors.bottom=["model=gated_pixelcnn","model.n_res=1","model.hidden=8",{SHORT}]',
]


@pytest.fixture(scope="module")
def arguments(mnist_dir):
    return ["trainer=cpu", *QUICK, *SMALL, *PRIORS, f"data.dir={mnist_dir}", "data.source=torchvision", "name=vq"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, arguments):
    """The folder of a finished command, and what it printed."""
    cwd = tmp_path_factory.mktemp("vqvae")
    return cwd, succeeds(forked("vqvae", *arguments, cwd=cwd))


def test_every_stage_is_a_run_of_its_own(trained):
    cwd, output = trained
    folder = cwd / "outputs" / "vq"
    for stage, score in (("autoencoder", "test/mse"), ("top", "test/bits_per_dim"), ("bottom", "test/bits_per_dim")):
        metrics = json.loads((folder / stage / "metrics.json").read_text())
        assert metrics[score] > 0
        told = "vqvae trainer=cpu" if stage == "autoencoder" else "train data=codes"
        assert metrics["command"].startswith(f"python -m pixelcnn_lit.{told} ")
        assert (folder / stage / "checkpoints" / "best.ckpt").is_file()
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["bits_per_code"]["bottom"]) == {"train", "val", "test"}
    for level in ("top", "bottom"):
        assert 0 < summary["bits_per_code"][level]["test"] < 4
        assert level in output
    for picture in ("reconstructions.png", "samples.png"):
        with Image.open(folder / picture) as image:
            assert image.width > 200


def test_again_it_says_that_all_stages_are_finished(trained, arguments):
    cwd, _ = trained
    output = succeeds(forked("vqvae", *arguments, cwd=cwd))
    assert output.count("is finished") == 3


def die(cwd, arguments, stage, number):
    """Start the command, and send it a signal after the first epoch of a stage."""
    process = Started("-m", "pixelcnn_lit.vqvae", *arguments, cwd=cwd)

    def an_epoch_of_the_stage(lines):
        begin = f"stage {stage}"
        return begin in lines and any(line.startswith("epoch") for line in lines[lines.index(begin) :])

    process.wait_for(an_epoch_of_the_stage)
    process.send_signal(number)
    return process.wait().returncode


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("top", signal.SIGKILL),
        pytest.param("autoencoder", signal.SIGKILL, marks=pytest.mark.soak),
        pytest.param("autoencoder", signal.SIGTERM, marks=pytest.mark.soak),
        pytest.param("bottom", signal.SIGTERM, marks=pytest.mark.soak),
    ],
)
def test_killed_in_a_stage_it_goes_on_and_ends_as_if_nothing_had_been(trained, arguments, tmp_path, stage, number):
    assert die(tmp_path, arguments, stage, number) == {signal.SIGKILL: -9, signal.SIGTERM: 143}[number]
    assert not (tmp_path / "outputs" / "vq" / "summary.json").exists()
    again = succeeds(forked("vqvae", *arguments, cwd=tmp_path))
    assert again.count("goes on from") == 1
    assert again.count("is finished") == ["autoencoder", "top", "bottom"].index(stage)
    ends = []
    for cwd in (tmp_path, trained[0]):
        found = json.loads((cwd / "outputs" / "vq" / "summary.json").read_text())
        ends.append({key: value for key, value in found.items() if key != "sample_seconds"})
    assert ends[0] == ends[1]


def test_another_autoencoder_under_old_priors_is_refused(trained, arguments, tmp_path):
    cwd, _ = trained
    (tmp_path / "outputs").mkdir()
    shutil.copytree(cwd / "outputs" / "vq", tmp_path / "outputs" / "vq")
    best = tmp_path / "outputs" / "vq" / "autoencoder" / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    checkpoint.write(best, {**content, "global_step": -1})
    fails(forked("vqvae", *arguments, cwd=tmp_path), "data.digest=")
    fails(forked("sample", "ckpt=outputs/vq", "n=2", cwd=tmp_path), "on the codes of another autoencoder")


def test_the_folder_is_a_model(trained):
    folder = trained[0] / "outputs" / "vq"
    vq = load(folder)
    assert isinstance(vq, VQVAE)
    assert isinstance(load(folder / "autoencoder"), Autoencoder)
    config = checkpoint.load_autoencoder(folder)[1]
    x = ImageDataModule(config.data, 0).split("test").images[:20]
    codes = vq.encode(x)
    assert [tuple(part.shape[2:]) for part in codes] == [(7, 7), (14, 14)]
    assert torch.equal(vq.reconstruct(x), vq.decode(codes))
    assert vq.log_prob(codes).shape == (20,)
    assert vq.sample(3, seed=1).shape == (3, 1, 28, 28)


def test_the_top_codes_say_something_of_the_bottom_ones(trained):
    """The prior of the bottom is given the right codes above, not others."""
    bottom, config = checkpoint.load_with_config(trained[0] / "outputs" / "vq" / "bottom")
    config = config.data.model_copy(update={"ckpt": str(trained[0] / "outputs" / "vq" / "autoencoder")}), config
    x, _, context = ImageDataModule(config[0], 0, context=config[1].context).split("test")[:]
    with torch.no_grad():
        right, wrong = (bottom.bits_per_dim(x, context=given).mean() for given in (context, context.roll(1, 0)))
    assert right < wrong


def test_samples_are_those_of_the_priors_decoded(trained, tmp_path):
    folder = trained[0] / "outputs" / "vq"
    output = succeeds(forked("sample", f"ckpt={folder}", "n=10", "seed=3", "batch_size=4", cwd=tmp_path))
    assert "10 samples" in output
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), load(folder).sample(10, seed=3).numpy())
    fails(forked("sample", f"ckpt={folder}", "occlude=bottom", cwd=tmp_path), "occlude: only for a density of images")
    fails(forked("evaluate", f"ckpt={folder / 'autoencoder'}", cwd=tmp_path), "an autoencoder, which has no likelihood")


def test_a_prior_is_a_density_like_others(trained, tmp_path):
    """Given the codes above of test images, it draws codes below, completes and explains."""
    cwd, _ = trained
    (picture,) = cwd.glob("outputs/vq/samples.png")
    for stage, words in (
        ("bottom", ["sample", "given=2", "n=3"]),
        ("bottom", ["sample", "n=2", "occlude=bottom"]),
        ("top", ["sample", "n=2"]),
        ("bottom", ["explain", "n=2"]),
    ):
        out = tmp_path / f"{stage}-{len(words)}-{words[0]}.png"
        succeeds(forked(*words, f"ckpt=outputs/vq/{stage}", f"out={out}", cwd=cwd))
        assert out.is_file()
    for command_ in ("sample", "explain"):
        told = fails(forked(command_, "ckpt=outputs/vq/bottom", f"image={picture}", f"out={out}", cwd=cwd), "image=")
        assert "the images of this model are codes" in told


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('priors.top=["model.hidden=0"]', "priors.top: model.hidden=0"),
        ("priors.middle=[]", "priors: data.level=middle: the autoencoder has top, bottom"),
        ("callbacks.ema.decay=0.9", "callbacks.ema.decay: codes are averages already"),
        ("autoencoder.n_codes=5000", "priors.bottom: context=codes: has a channel for each code"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_training(arguments, tmp_path, override, message):
    fails(forked("vqvae", *arguments, override, cwd=tmp_path), message)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_codes_of_no_autoencoder_are_refused(tmp_path):
    fails(forked("train", "data=codes", "data.ckpt=nothing", cwd=tmp_path), "data.ckpt=nothing: no run of vqvae")
