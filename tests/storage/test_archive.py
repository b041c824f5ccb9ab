"""Files that mean harm, and files that are broken: nothing of them runs, and they are refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile

import pytest
import torch

from pixelcnn_lit import build, load
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.archive import DamagedError, read_archive, write_archive, write_safetensors
from pixelcnn_lit.storage.checkpoint import KEY, PREFIX, header, read, resumable, write

OVERRIDES = ["model.n_res=1", "model.hidden=3", "data.levels=4"]
CONFIG = compose(OVERRIDES)


def content(**changes):
    density = build(OVERRIDES)
    weights = {PREFIX + name: weight for name, weight in density.state_dict().items()}
    return {KEY: header(CONFIG), "state_dict": weights, **changes}


def repacked(path, change):
    """The archive again, its pickle changed and its checksum made anew as an attacker would."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w") as new:
        for member in old.infolist():
            data = old.read(member)
            new.writestr(member.filename, change(data) if member.filename.endswith("data.pkl") else data)
    path.write_bytes(buffer.getvalue())


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(marker):
    yield "os.system", Calls(os.system, f"touch {marker}")
    yield "eval", Calls(eval, f"open({str(marker)!r}, 'w')")
    yield "an allowed builtin that takes memory", Calls(bytearray, 10**12)
    yield "a class of ours", CONFIG
    yield "a Lightning module", {"hyper_parameters": {"_instantiator": Calls(os.system, f"touch {marker}")}}
    yield "a numpy array of objects", Calls(__import__("numpy").frombuffer, b"x")


@pytest.mark.parametrize("number", range(6))
def test_no_class_or_function_that_a_checkpoint_names_is_called(tmp_path, number):
    marker = tmp_path / "ran"
    _, thing = list(hostile(marker))[number]
    for place in ("callbacks", "hyper_parameters", KEY, "state_dict"):
        path = tmp_path / "last.ckpt"
        write(path, content(**{place: {"thing": thing}}))
        for reader in (load, lambda p: resumable(p, CONFIG)):
            with pytest.raises(UserError, match=r"it names .*, which is not read"):
                reader(path)
        path.unlink()
    assert not marker.exists()


def test_names_to_instantiate_are_texts_and_nothing_more(tmp_path):
    """Hydra's _target_ and Lightning's _instantiator name functions by text."""
    for key in ("_target_", "_instantiator", "hyper_parameters"):
        evil = content(**{key: "os.system", "hyper_parameters": {key: "os.system", "_args_": ["touch ran"]}})
        write(tmp_path / "plain.ckpt", evil)
        assert load(tmp_path / "plain.ckpt").levels == 4  # what it names is not looked at
        evil[KEY]["config"]["model"] |= {key: "os.system"}
        write(tmp_path / "config.ckpt", evil)
        with pytest.raises(UserError, match=rf"config.ckpt: model.{key}: no such key"):
            load(tmp_path / "config.ckpt")


def test_a_pickle_that_is_no_archive_is_not_unpickled(tmp_path):
    marker = tmp_path / "ran"
    for protocol in (0, 2, 4, 5):
        (tmp_path / "bare.ckpt").write_bytes(pickle.dumps(Calls(os.system, f"touch {marker}"), protocol))
        with pytest.raises(UserError, match=r"bare.ckpt: damaged, or no checkpoint"):
            load(tmp_path / "bare.ckpt")
    torch.save(content(), tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"old.ckpt: damaged, or no checkpoint"):
        load(tmp_path / "old.ckpt")
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_hidden_in_an_archive_is_not_unpickled(tmp_path, protocol):
    marker, path = tmp_path / "ran", tmp_path / "hidden.ckpt"
    write(path, content())
    repacked(path, lambda data: pickle.dumps(Calls(os.system, f"touch {marker}"), protocol))
    with pytest.raises(UserError, match=r"hidden.ckpt: damaged, or no checkpoint .*it names"):
        load(path)
    assert not marker.exists()


def test_an_archive_that_unfolds_is_refused_before_it_does(tmp_path):
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**26))
    assert path.stat().st_size < 2**17
    with pytest.raises(DamagedError, match=r"compressed"):
        read_archive(path)


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "claims.ckpt"
    write_archive(path, {"weight": torch.zeros(7)})
    repacked(path, lambda data: data.replace(b"K\x07", b"J" + struct.pack("<i", 2**30)))
    with pytest.raises(DamagedError):
        read_archive(path)


def test_a_header_of_another_kind_is_refused(tmp_path):
    for name, value in {"list": [1], "text": "x", "number": 3, "tensor": torch.zeros(2)}.items():
        write(tmp_path / "odd.ckpt", content(**{KEY: value}))
        with pytest.raises(UserError, match=r"odd.ckpt: no checkpoint of pixelcnn-lit"):
            load(tmp_path / "odd.ckpt")
        odd = content()
        odd[KEY]["config"]["data"]["batch_size"] = value
        write(tmp_path / "odd.ckpt", odd)
        if name != "number":
            with pytest.raises(UserError, match=r"odd.ckpt: data\.batch_size"):
                load(tmp_path / "odd.ckpt")


def test_safetensors_come_back_as_they_went_and_damage_is_detected(tmp_path):
    path = tmp_path / "model.safetensors"
    density = build(OVERRIDES)
    write_safetensors(path, density.state_dict(), header(CONFIG))
    back = load(path).state_dict()
    assert all(torch.equal(weight, back[name]) for name, weight in density.state_dict().items())
    assert read(path)[0] == CONFIG
    with pytest.raises(UserError, match=r"model.safetensors: holds no state of a training to resume"):
        resumable(path, CONFIG)
    good = path.read_bytes()
    for at in range(0, len(good), 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        with pytest.raises(UserError, match=r"model.safetensors: "):
            load(path)
    for end in (0, 5, 100, len(good) - 1):
        path.write_bytes(good[:end])
        with pytest.raises(UserError, match=r"model.safetensors: damaged"):
            load(path)
    write_safetensors(path, {"weight": torch.zeros(2)}, {"format": 2, "config": {"model": {"hidden": 10**9}}})
    with pytest.raises(UserError, match=r"model.safetensors: "):
        load(path)
