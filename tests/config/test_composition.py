from __future__ import annotations

import hydra
import pytest

from pixelcnn_lit.config import ReceptiveFieldConfig, SampleConfig, check, compose, compose_vqvae, conf_dir, with_home
from pixelcnn_lit.errors import UserError


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("data.path=~/imgs", "data.path=/home/me/imgs"),
        ("ckpt=~", "ckpt=/home/me"),
        ('hydra.run.dir="~/runs"', 'hydra.run.dir="/home/me/runs"'),
        ("data.path=~/a,'~/b'", "data.path=/home/me/a,'~/b'"),
        ("ckpt=[~/a,~/b]", "ckpt=[/home/me/a,/home/me/b]"),
        ("hydra.run.dir=~/runs", "hydra.run.dir=/home/me/runs"),
        ("--config-dir=~/conf", "--config-dir=/home/me/conf"),
        ("~callbacks", "~callbacks"),
        ("data.path=a~/b~", "data.path=a~/b~"),
    ],
)
def test_a_tilde_at_the_beginning_of_a_path_is_the_home_folder(written, meant):
    assert with_home(written) == meant


def test_a_home_folder_with_characters_of_hydras_grammar_is_read(monkeypatch):
    monkeypatch.setenv("HOME", "/home/my self, (me)")
    assert compose(["data.dir=~/data"]).data.dir == "/home/my self, (me)/data"


def test_a_tilde_in_a_text_that_is_no_path_stays(monkeypatch):
    loggers = ["logger=[mlflow,wandb]", "logger.mlflow.experiment='~/a'", "logger.wandb.project='~'"]
    chosen = compose([*loggers, 'logger.mlflow.tracking_uri="~/b"']).logger
    assert (chosen.mlflow.experiment, chosen.wandb.project) == ("~/a", "~")
    assert chosen.mlflow.tracking_uri == "/home/me/b"
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = hydra.compose("receptive_field", ["models=['~']", "ckpt='~/c'"])
    read = check(composed, ReceptiveFieldConfig)
    assert (read.models, read.ckpt) == (["~"], "/home/me/c")


def test_the_home_of_nobody_is_an_error():
    with pytest.raises(UserError, match=r"data.dir=~nobody-here/x: no user nobody-here"):
        with_home("data.dir=~nobody-here/x")


@pytest.mark.parametrize("group", ["data=mnist", "data=cifar10", "data=images data.path=x", "data=npz data.path=x"])
def test_every_key_of_a_place_is_expanded_where_it_is_read(group):
    """Also in a yaml file or a value from Python, which no command line has seen."""
    plain = compose(group.split()).model_dump()
    plain |= {
        "ckpt": "~/a.ckpt",
        "data": plain["data"] | {key: "~/x" for key in ("dir", "path") if key in plain["data"]},
    }
    read = check(plain, type(compose(group.split())))
    assert read.ckpt == "/home/me/a.ckpt"
    assert {getattr(read.data, key) for key in ("dir", "path") if key in plain["data"]} == {"/home/me/x"}


def test_the_places_of_the_other_commands_are_expanded():
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = hydra.compose("sample", ['ckpt="~/a"', 'mask="~/b"', 'out="~/c.png"', 'data.dir="~/d"'])
    read = check(composed, SampleConfig)
    assert (read.ckpt, read.mask, read.out, read.data.dir) == tuple(f"/home/me/{x}" for x in ("a", "b", "c.png", "d"))


@pytest.mark.parametrize(
    ("overrides", "loggers"),
    [
        ([], {"tensorboard": {}}),
        (["logger=none"], {}),
        (["logger=[tensorboard,csv]"], {"tensorboard": {}, "csv": {}}),
        (["logger=wandb", "logger.wandb.project='my own'"], {"wandb": {"project": "my own", "offline": False}}),
        (["priors.top=['model=pixelcnn','logger=csv']", "logger=none"], {"csv": {}}),
    ],
)
def test_the_runs_of_a_vqvae_have_its_loggers(overrides, loggers):
    config = compose_vqvae(["data=digits", *overrides])
    prior = compose(config.told("outputs/it's", "abc")["top"])
    assert prior.logger.model_dump(exclude_none=True) == loggers
    assert prior.data.ckpt == "outputs/it's/autoencoder"
