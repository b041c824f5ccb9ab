from __future__ import annotations

import os
import random
import resource
import signal
from pathlib import Path

import pytest
import torch

from pixelcnn_lit import build, load
from pixelcnn_lit.config import compose, compose_vqvae
from pixelcnn_lit.config.migrate import FORMAT, migrated
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.archive import is_whole
from pixelcnn_lit.storage.checkpoint import KEY, PREFIX, header, newest_good, read, resumable, write

CONFIG = compose(["model.n_res=1", "model.hidden=3", "data.levels=4"])


def content(**changes):
    density = build(["model.n_res=1", "model.hidden=3", "data.levels=4"])
    weights = {PREFIX + name: weight for name, weight in density.state_dict().items()}
    return {KEY: header(CONFIG), "state_dict": weights, **changes}


FIXTURES = Path(__file__).parents[1] / "fixtures"


def ramp(i: int, height: int, width: int) -> torch.Tensor:
    row, column = torch.arange(height)[:, None], torch.arange(width)
    return (row * column // (i + 3) + i * row + column) % 4


def test_a_checkpoint_of_the_first_format_gives_the_same_log_likelihoods_for_ever():
    """If this fails, checkpoints that people have cannot be read any more: see config/migrate.py."""
    density = load(FIXTURES / "format1.ckpt")
    x = torch.stack([ramp(i, 28, 28)[None] for i in range(3)])
    assert density.log_prob(x).tolist() == pytest.approx([-1235.3925, -1267.1639, -1274.7042], abs=0.01)
    x = torch.stack([ramp(i, 9, 7)[None] for i in range(3)])
    assert density.log_prob(x).tolist() == pytest.approx([-102.41818, -107.91278, -108.25459], abs=0.001)
    resumable(FIXTURES / "format1.ckpt", read(FIXTURES / "format1.ckpt")[0])


def test_torch_itself_reads_what_is_written(tmp_path):
    write(tmp_path / "good.ckpt", content())
    assert torch.load(tmp_path / "good.ckpt", weights_only=True)[KEY] == header(CONFIG)


def test_every_kind_of_damage_is_detected(tmp_path):
    path = tmp_path / "good.ckpt"
    write(path, content())
    assert is_whole(path)
    good = path.read_bytes()
    rng = random.Random(0)
    damaged = [good[: rng.randrange(len(good))] for _ in range(20)] + [b"", good + b"more", good[:-1]]
    for at in [*(rng.randrange(len(good)) for _ in range(60)), len(good) - 1, len(good) - 80, len(good) - 86]:
        damaged.append(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
    for data in damaged:
        path.write_bytes(data)
        assert not is_whole(path)
        with pytest.raises(UserError, match=r"good.ckpt: (damaged|no checkpoint)"):
            read(path)


def test_the_previous_checkpoint_is_kept_and_found(tmp_path, caplog):
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    assert newest_good(tmp_path) is None
    write(last, content(step=1))
    assert newest_good(tmp_path) == last
    assert not previous.exists()
    write(last, content(step=2))
    assert [read(path)[1]["step"] for path in (last, previous)] == [2, 1]
    last.write_bytes(last.read_bytes()[:-1000])
    assert caplog.messages == []
    assert newest_good(tmp_path) == previous
    (message,) = caplog.messages
    assert "last.ckpt: damaged" in message
    with pytest.raises(UserError, match=r"previous.ckpt: holds no state of a training"):
        resumable(last, CONFIG)

    write(last, content(step=3))  # a damaged one takes no good one's place
    assert [read(path)[1]["step"] for path in (last, previous)] == [3, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]


def test_a_disk_that_is_full_leaves_the_earlier_checkpoint(tmp_path):
    last = tmp_path / "last.ckpt"
    write(last, content(step=1))
    size = last.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(UserError, match=r"(last|previous).ckpt: cannot be written \(File too large\)"):
            write(last, content(step=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert read(last)[1]["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_load_gives_the_density_that_was_saved(tmp_path):
    saved = content()
    write(tmp_path / "good.ckpt", saved)
    density = load(tmp_path / "good.ckpt")
    assert not density.training
    assert density.image_shape == (1, 28, 28)
    for name, weight in density.state_dict().items():
        assert torch.equal(weight, saved["state_dict"][PREFIX + name])


def test_a_header_that_the_config_check_refuses_is_refused(tmp_path):
    bad = content()
    bad[KEY]["config"]["model"]["hidden"] = 10**9
    write(tmp_path / "huge.ckpt", bad)
    with pytest.raises(UserError, match=r"huge.ckpt: model.hidden=1000000000: must be an integer from 1 to 2048"):
        load(tmp_path / "huge.ckpt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({KEY: {"format": FORMAT + 1}}, f"format {FORMAT + 1}, of a newer pixelcnn-lit than this one"),
        ({KEY: {"format": "2"}}, "damaged: its format is '2'"),
        ({KEY: {"format": 1}}, "has no config"),
        ({KEY: None}, "no checkpoint of pixelcnn-lit"),
        ({"state_dict": {}}, "weights do not fit"),
        ({"state_dict": {"weight": torch.tensor([1.0, torch.nan])}}, "weights are not all finite"),
        ({"state_dict": {"weight": torch.tensor([1.0, -torch.inf])}}, "weights are not all finite"),
        ({"state_dict": {7: torch.zeros(3)}}, "weights do not fit"),
        ({"state_dict": {PREFIX + "network.out.bias": "text"}}, "weights do not fit"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, changes, message):
    write(tmp_path / "bad.ckpt", content(**changes))
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "bad.ckpt")
    assert "bad.ckpt" in str(caught.value)


def test_a_config_that_asks_for_more_than_the_file_holds_is_refused_before_memory_is_touched(tmp_path):
    big = content()
    big[KEY] = header(compose(["model.n_res=256", "model.hidden=2048", "model.kernel_size=63"]))
    write(tmp_path / "big.ckpt", big)
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


STATE = {"optimizer_states": [{}], "lr_schedulers": [{}], "callbacks": {"x": {}}, "loops": {"fit_loop": {"done": 1}}}


@pytest.mark.parametrize("key", STATE)
def test_a_state_of_a_training_that_is_incomplete_is_named(tmp_path, key):
    for change in ({key: None}, {key: type(STATE[key])()}, {key: "text"}):
        write(tmp_path / "part.ckpt", content(**STATE | change))
        with pytest.raises(UserError, match=rf"part.ckpt: holds no state of a training to resume \(no {key}\)"):
            resumable(tmp_path / "part.ckpt", CONFIG)
    write(tmp_path / "part.ckpt", content(**STATE | {"loops": {"fit_loop": {"done": "soon"}}}))
    with pytest.raises(UserError, match=r"part.ckpt: damaged: its loops hold other things than numbers"):
        resumable(tmp_path / "part.ckpt", CONFIG)


def test_only_a_training_of_the_same_model_can_be_resumed(tmp_path):
    write(tmp_path / "last.ckpt", content(**STATE))
    resumable(tmp_path / "last.ckpt", CONFIG)
    other = compose(["model.n_res=1", "model.hidden=3", "data.levels=8"])
    with pytest.raises(UserError, match=r"data.levels=8: ckpt=.*last.ckpt was trained with 4"):
        resumable(tmp_path / "last.ckpt", other)
    write(tmp_path / "weights.ckpt", content())
    with pytest.raises(UserError, match="no state of a training"):
        resumable(tmp_path / "weights.ckpt", CONFIG)


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_the_config_of_an_autoencoder_gets_no_keys_of_a_density(number):
    config = compose_vqvae(["data=digits"]).first.model_dump(mode="json")
    assert migrated(config, number) == config
