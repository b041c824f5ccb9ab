from __future__ import annotations

import os

import pytest
import torch

from pixelcnn_lit import build, load
from pixelcnn_lit.checkpoint import KEY, PREFIX, check_resumable, header
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError

CONFIG = compose(["model.n_res=1", "model.hidden=3", "data.levels=4"])


def content(**changes):
    density = build(["model.n_res=1", "model.hidden=3", "data.levels=4"])
    weights = {PREFIX + name: weight for name, weight in density.state_dict().items()}
    return {KEY: header(CONFIG), "state_dict": weights, **changes}


def test_load_gives_the_density_that_was_saved(tmp_path):
    saved = content()
    torch.save(saved, tmp_path / "good.ckpt")
    density = load(tmp_path / "good.ckpt")
    assert not density.training
    assert density.image_shape == (1, 28, 28)
    for name, weight in density.state_dict().items():
        assert torch.equal(weight, saved["state_dict"][PREFIX + name])


def test_a_header_that_the_config_check_refuses_is_refused(tmp_path):
    bad = content()
    bad[KEY]["config"]["model"]["hidden"] = 10**9
    torch.save(bad, tmp_path / "huge.ckpt")
    with pytest.raises(UserError, match=r"huge.ckpt: model.hidden=1000000000: must be an integer from 1 to 2048"):
        load(tmp_path / "huge.ckpt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({KEY: {"format": 2}}, "format 2; this version of pixelcnn-lit reads format 1"),
        ({KEY: {"format": 1}}, "has no config"),
        ({KEY: None}, "no checkpoint of pixelcnn-lit"),
        ({"state_dict": {}}, "weights do not fit"),
        ({"state_dict": {7: torch.zeros(3)}}, "weights do not fit"),
        ({"state_dict": {PREFIX + "network.out.bias": "text"}}, "weights do not fit"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, changes, message):
    torch.save(content(**changes), tmp_path / "bad.ckpt")
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "bad.ckpt")
    assert "bad.ckpt" in str(caught.value)


def test_a_config_that_asks_for_more_than_the_file_holds_is_refused_before_memory_is_touched(tmp_path):
    big = content()
    big[KEY] = header(compose(["model.n_res=256", "model.hidden=2048", "model.kernel_size=63"]))
    torch.save(big, tmp_path / "big.ckpt")
    with pytest.raises(UserError, match="weights do not fit"):
        load(tmp_path / "big.ckpt")


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_opening_somebodys_checkpoint_never_runs_their_code(tmp_path):
    marker = tmp_path / "ran"
    torch.save(content(surprise=Hostile(f"touch {marker}")), tmp_path / "hostile.ckpt")
    with pytest.raises(UserError, match="damaged, or no checkpoint"):
        load(tmp_path / "hostile.ckpt")
    assert not marker.exists()


def test_only_a_training_of_the_same_model_can_be_resumed(tmp_path):
    torch.save(content(optimizer_states=[], loops={}), tmp_path / "last.ckpt")
    check_resumable(tmp_path / "last.ckpt", CONFIG)
    other = compose(["model.n_res=1", "model.hidden=3", "data.levels=8"])
    with pytest.raises(UserError, match=r"model.levels=8: ckpt=.*last.ckpt was trained with 4"):
        check_resumable(tmp_path / "last.ckpt", other)
    torch.save(content(), tmp_path / "weights.ckpt")
    with pytest.raises(UserError, match="no state of a training"):
        check_resumable(tmp_path / "weights.ckpt", CONFIG)
