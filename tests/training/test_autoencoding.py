"""An autoencoder is trained as a density is: its loss, its numbers, its pictures, and what is said of collapse."""

from __future__ import annotations

import json
import math
import os

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.running import CODED
from pixelcnn_lit.config import compose_vqvae
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training.autoencoding import AutoencoderRun
from pixelcnn_lit.training.loggers import tag


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No power cut is simulated here: waiting for the disk would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def config_of(mnist_dir, *overrides):
    return compose_vqvae([*CODED, f"data.dir={mnist_dir}", "data.levels=16", "trainer.max_epochs=1", *overrides]).first


@pytest.fixture(scope="module")
def trained(mnist_dir, tmp_path_factory):
    """A finished run."""
    run = AutoencoderRun(config_of(mnist_dir, "trainer.max_epochs=4"), tmp_path_factory.mktemp("run"))
    run.fit()
    run.conclude()
    return run


def test_the_results_are_those_of_the_best_checkpoint_on_the_whole_test_split(trained):
    model, _ = checkpoint.load_autoencoder(trained.folder)
    x = trained.data.split("test").images
    back = model(model.normalise(x)).images
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    error = (back - model.normalise(x)).square().double().mean().item()
    assert metrics["test/mse"] == pytest.approx(error, rel=1e-4)
    assert metrics["test/psnr"] == pytest.approx(-10 * math.log10(error), rel=1e-4)
    for name, codes in zip(model.names, model.encode(x), strict=True):
        shares = torch.bincount(codes.flatten().long(), minlength=8).double() / codes.numel()
        assert metrics["alive"][name] == pytest.approx((shares > 0).double().mean().item())
        assert metrics["perplexity"][name] == pytest.approx(torch.special.entr(shares).sum().exp().item(), rel=1e-3)
    for parameter, other in zip(model.state_dict().values(), trained.autoencoder.state_dict().values(), strict=True):
        assert torch.equal(parameter, other)


def test_what_comes_back_is_stable(trained):
    """What the codes lost, they lost at once: a picture that came from codes changes less when it is coded again."""
    model = trained.autoencoder
    x = trained.data.split("test").images
    once = model.reconstruct(x)
    twice = model.reconstruct(once)

    def error(a, b):
        return (a.float() - b.float()).square().mean()

    assert error(once, twice) < error(x, once) / 2


def test_a_picture_shows_images_and_what_comes_back(trained):
    with Image.open(trained.folder / "reconstructions.png") as picture:
        assert picture.width > 400
    assert not (trained.folder / "samples.png").exists()


def test_the_numbers_are_in_tensorboard(mnist_dir, tmp_path):
    shown = ["logger=tensorboard", "callbacks.pictures.every_n_epochs=1", "trainer.log_every_n_steps=1"]

    run = AutoencoderRun(config_of(mnist_dir, *shown), tmp_path)
    run.fit()
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    wanted = {"train/mse", "val/mse", "val/psnr"}
    wanted |= {f"val/{kind}_{level}" for kind in ("perplexity", "alive") for level in ("top", "bottom")}
    assert {tag(name) for name in wanted} <= set(board.Tags()["scalars"])
    assert "pictures/reconstructions" in board.Tags()["images"]


def test_collapse_is_told_of_while_it_happens_and_once(mnist_dir, tmp_path, caplog):
    """Codes that are not revived, of which one stays."""
    dead = ["autoencoder.revive_below=0", "autoencoder.n_codes=64", "trainer.max_epochs=2"]
    run = AutoencoderRun(config_of(mnist_dir, *dead), tmp_path)
    run.module.autoencoder.initialise = lambda *batch: _all_but_one_far_away(run.module.autoencoder)
    run.fit()
    told = [record.message for record in caplog.records if "collapse" in record.message]
    assert [("level top" in line, "level bottom" in line) for line in told] == [(True, False), (False, True)]
    assert "1 of 64 are used, with a perplexity of 1.0" in told[0]
    assert "autoencoder.revive_below" in told[0]


def _all_but_one_far_away(autoencoder):
    for name in autoencoder.names:
        book = autoencoder.codebook(name).codebook._codebook
        book.embed.fill_(1e4)
        book.embed[:, 0] = 0
        book.embed_avg.copy_(book.embed)
        book.cluster_size.fill_(1)
        book.initted.fill_(True)


def test_no_collapse_is_told_of_where_there_is_none(trained, caplog, mnist_dir, tmp_path):
    run = AutoencoderRun(config_of(mnist_dir), tmp_path)
    run.fit()
    assert not [record for record in caplog.records if "collapse" in record.message]


def test_the_gradient_is_that_of_the_mean_over_a_step_s_images(mnist_dir, tmp_path):
    """However the images of a step are shared out into batches."""
    moved = []
    for size, parts in ((8, 1), (4, 2)):
        options = [f"data.batch_size={size}", f"trainer.accumulate_grad_batches={parts}", "autoencoder.decay=0"]
        frozen = ["autoencoder.revive_below=0", "trainer.max_steps=1", "trainer.precision=32-true"]
        run = AutoencoderRun(config_of(mnist_dir, *options, *frozen), tmp_path / str(parts))
        first = run.data.split("train").images[:40]
        run.module.autoencoder.initialise = lambda *batch, model=run.module.autoencoder, x=first: _initialised(model, x)
        run.fit()
        moved.append({name: value.clone() for name, value in run.autoencoder.named_parameters()})
    for name, value in moved[0].items():
        torch.testing.assert_close(value, moved[1][name], rtol=1e-3, atol=1e-5)


def _initialised(model, x):
    torch.manual_seed(3)
    type(model).initialise(model, x)
    for name in model.names:  # codes that stay where they are
        model.codebook(name).codebook.freeze_codebook = True


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("callbacks.ema.decay=0.9", "callbacks.ema.decay: codes are averages already"),
        ("trainer.devices=2", "trainer.devices=2: an autoencoder trains in one process"),
    ],
)
def test_what_an_autoencoder_cannot_do_is_refused(mnist_dir, tmp_path, override, message):
    with pytest.raises(UserError, match=message):
        AutoencoderRun(config_of(mnist_dir, override), tmp_path)


def test_a_checkpoint_of_an_autoencoder_is_none_of_a_density(trained):
    with pytest.raises(UserError, match="an autoencoder, which has no likelihood"):
        checkpoint.load_with_config(trained.folder)
    with pytest.raises(UserError, match="no such file"):
        checkpoint.load_autoencoder(trained.folder / "checkpoints" / "no.ckpt")
