from __future__ import annotations

import inspect

import pytest
import pytorch_lightning as pl
from omegaconf import OmegaConf

from pixelcnn_lit.config import SampleConfig, TrainConfig, check, compose, compose_vqvae, conf_dir
from pixelcnn_lit.config.trainer import TrainerConfig
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.factory import build_density


def test_the_default_is_the_articles_network():
    config = compose([])
    assert (config.model.n_res, config.model.hidden, config.data.levels) == (15, 64, 256)


def test_levels_and_shape_of_the_model_follow_the_data():
    density = build_density(compose(["data.levels=7", "data.image_shape=[3,8,9]", "model.n_res=0", "model.hidden=3"]))
    assert density.levels == 7
    assert density.image_shape == (3, 8, 9)


@pytest.mark.parametrize("group", ["data", "model", "optimizer", "trainer", "callbacks", "logger", "experiment"])
def test_every_config_file_makes_a_valid_config(group):
    options = [path.stem for path in (conf_dir() / group).glob("*.yaml")]
    assert options
    of_codes = ["data.levels=8", "data.image_shape=[1,7,7]", "data.n_classes=0", "data.factor=2"]
    needs = {
        "npz": ["data.path=images.npz"],
        "images": ["data.path=photos"],
        "codes": ["data.ckpt=vq", *of_codes] if group == "data" else ["data=codes", "data.ckpt=vq", *of_codes],
        "vqvae2_256": ["data.path=photos"],
    }
    for option in options:
        composer = compose_vqvae if option.startswith("vqvae") else compose
        composer([f"{group}={option}", *needs.get(option, [])])


def test_every_argument_of_lightnings_trainer_is_a_key():
    ours = set(TrainerConfig.model_fields) | {"logger", "callbacks", "plugins"}
    assert set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"} <= ours


def test_the_trainer_presets_keep_lightnings_defaults_where_they_say_nothing():
    assert OmegaConf.load(conf_dir() / "trainer" / "base.yaml").keys() == TrainerConfig.model_fields.keys()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.levels=0", "data.levels=0: must be an integer from 2 to 256"),
        ("data.levels=1", "data.levels=1: must be an integer from 2 to 256"),
        ("data.levels=257", "data.levels=257: must be an integer from 2 to 256"),
        ("data.levels=2.5", "data.levels=2.5: must be an integer from 2 to 256"),
        ("data.levels=abc", "data.levels='abc': must be an integer from 2 to 256"),
        ("data.levels=true", "data.levels=true: must be an integer from 2 to 256"),
        ("data.levels=null", "data.levels=null: must be an integer from 2 to 256"),
        ("model.n_res=-1", "model.n_res=-1: must be an integer from 0 to 256"),
        ("model.hidden=0", "model.hidden=0: must be an integer from 1 to 2048"),
        ("model.hidden=1000000000", "model.hidden=1000000000: must be an integer from 1 to 2048"),
        ("model.kernel_size=4", "model.kernel_size=4: must be odd, an integer from 1 to 63"),
        ("model.first_kernel_size=6", "model.first_kernel_size=6: must be odd, an integer from 3 to 63"),
        ("model.first_kernel_size=1", "model.first_kernel_size=1: must be an integer from 3 to 63"),
        ("data.batch_size=0", "data.batch_size=0: must be an integer from 1 to 65536"),
        (
            "data.name=imagenet",
            "data.name='imagenet': must be one of cifar10, codes, fashion_mnist, images, mnist, npz",
        ),
        ("plugins=1e308", "plugins=1e+308: must be a list of modules"),
        ("data.source=web", "data.source='web': must be one of auto, torchvision, embedded"),
        ("data.image_shape=[1,28]", "data.image_shape"),
        ("data.image_shape=[1,28,0]", "data.image_shape.2=0: must be an integer from 1 to 4096"),
        ("data=npz", "data.path: missing; give data.path=..."),
        ("data.path=images.npz", "data.path: no such key; allowed here: name, source, dir"),
        ("data.binarize=static", "data.binarize='static': must be dynamic or null"),
        ("data.binarize=dynamic", "data.binarize=dynamic: needs data.levels=2, not 256"),
        ("optimizer.lr=0", "optimizer.lr=0: must be a number above 0 and of at most 10"),
        ("optimizer.lr=nan", "optimizer.lr=nan: must be a number"),
        ("optimizer.weight_decay=inf", "optimizer.weight_decay=inf: must be a number of at least 0"),
        ("trainer.overfit_batches=0.5", "trainer.overfit_batches=0.5: must be a whole number of batches"),
        ("trainer.val_check_interval=0", "trainer.val_check_interval=0: must be an integer of at least 1"),
        ("name=''", "name='': must be a text, not empty"),
        ("optimizer.name=sgd", "optimizer.name='sgd': must be one of adam, adamw, muon"),
        ("optimizer.betas=[0.9,1]", "optimizer.betas.1=1: must be a number"),
        ("trainer.max_epochs=many", "trainer.max_epochs='many': must be an integer of at least -1 or null"),
        ("trainer.limit_val_batches=-0.5", "trainer.limit_val_batches=-0.5: must be"),
        ("callbacks.ema.decay=1", "callbacks.ema.decay=1: must be a number above 0 and below 1 or null"),
        ("seed=-1", "seed=-1: must be an integer from 0 to 4294967295"),
        ("model.levels=3", "model.levels: no such key; allowed here: name, n_res"),
        (
            "model.name=transformer",
            "model.name='transformer': must be one of gated_pixelcnn, lmconv, pixelcnn, pixelcnn_pp, pixelsnail, "
            "or what a module of plugins=[MODULE] registers",
        ),
        ("~model.name", "model.name: missing: must be one of gated_pixelcnn, lmconv, pixelcnn"),
        ("model.n_classes=3", "model.n_classes=3: mnist has 10 classes"),
        ("likelihood=null", "Config group override must be a string or a list"),
        ("model=transformer", "Could not find 'model/transformer'; available: gated_pixelcnn, lmconv, pixelcnn"),
        (
            "data=imagenet",
            "Could not find 'data/imagenet'; available: cifar10, codes, digits, fashion_mnist, images, mnist, npz",
        ),
        ("optimizer=lion", "Could not find 'optimizer/lion'; available: adam_exponential, adamw, muon"),
        ("model.depth=3", "model.depth: no such key; allowed here: name, n_res"),
        ("+model.depth=3", "model.depth: no such key; allowed here: name, n_classes, orders"),
        ("nonsense=3", "nonsense: no such key; allowed here: name, overwrite, seed, plugins, ckpt"),
        ("model.n_res=${nowhere}", "nowhere"),
        ("data.levels", "data.levels: cannot be read as an override; expected key=value"),
        ("data.levels=[", "data.levels=[: cannot be read as an override; expected key=value"),
    ],
)
def test_a_wrong_override_is_named_with_what_is_allowed(override, message):
    with pytest.raises(UserError) as caught:
        compose([override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ([0, 5], "size.0=0: must be an integer from 1 to 4096"),
        ([5], "size.1: missing; must be an integer from 1 to 4096"),
        (5, "size=5: must be [an integer from 1 to 4096, an integer from 1 to 4096] or null"),
    ],
)
def test_a_wrong_part_of_an_optional_list_is_named(size, message):
    sample = OmegaConf.to_container(OmegaConf.load(conf_dir() / "sample.yaml"))
    del sample["defaults"], sample["hydra"]
    sample |= {"ckpt": "some.ckpt", "size": size}
    with pytest.raises(UserError) as caught:
        check(sample, SampleConfig)
    assert str(caught.value) == message


def test_a_missing_key_is_named():
    plain = compose([]).model_dump(mode="json")
    del plain["model"]["hidden"]
    with pytest.raises(UserError, match=r"model\.hidden: missing; must be an integer from 1 to 2048"):
        check(plain, TrainConfig)


def test_a_checked_config_survives_being_written_down():
    config = compose(["experiment=quickstart"])
    assert check(config.model_dump(mode="json"), TrainConfig) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name=../../x", r"^name='../../x': must name a folder below outputs/"),
        ("name=/tmp/x", r"^name='/tmp/x': must name a folder below outputs/"),
        ("trainer.max_time=soon", r"^trainer.max_time='soon': must be DD:HH:MM:SS"),
        ("trainer.max_time={banana:1}", r"^trainer.max_time"),
        ("trainer.max_time=5", r"^trainer.max_time=5: must be DD:HH:MM:SS, days to seconds or a group of keys or null"),
        ("trainer.devices=0", r"^trainer.devices=0: must be a number of at least 1, -1 for all, a list"),
        ("trainer.barebones=true", r"^trainer.barebones=true: must be false"),
        ("model.n_res=${nowhere}", r"^model.n_res: Interpolation key 'nowhere' not found"),
    ],
)
def test_values_that_only_others_would_refuse_are_refused_here(override, message):
    with pytest.raises(UserError, match=message):
        compose([override])


def test_a_text_is_no_list_of_overrides():
    with pytest.raises(UserError, match=r"must be a list such as \['seed=2'\], not the text 'model.n_res=3'"):
        compose("model.n_res=3")
