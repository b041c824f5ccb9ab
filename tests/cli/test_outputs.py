"""A command never replaces what it reads."""

from __future__ import annotations

import pytest

from helpers.builders import write_checkpoint
from helpers.process import fails, forked
from pixelcnn_lit import build

CKPT = "ckpt=pretrained:digits"


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("explain", f"{CKPT} data=npz data.path=mine.npz out=mine.png", "mine.npz, which is read: data.path=mine.npz"),
        ("sample", f"{CKPT} image=mine.png occlude=bottom out=mine.png", "which is read: image=mine.png"),
        ("sample", f"{CKPT} mask=mine.gif gif=true out=mine.png", "mine.gif, which is read: mask=mine.gif"),
        ("score", f"{CKPT} data=images data.path=photos out=photos/a.csv", "which is read: data.path=photos"),
        ("evaluate", f"{CKPT} data=npz data.path=mine.npy out=mine.npy", "which is read: data.path=mine.npy"),
        ("compress", f"{CKPT} data=npz data.path=mine.pxl out=mine.pxl", "which is read: data.path=mine.pxl"),
        ("decompress", f"{CKPT} file=mine.npy out=mine.npy", "which is read: file=mine.npy"),
        ("export", "ckpt=mine.safetensors out=mine.safetensors", "which is read: ckpt=mine.safetensors"),
        ("receptive_field", "ckpt=mine.png out=mine.png", "which is read: ckpt=mine.png"),
        ("explain", "ckpt=mine.ckpt out=mine.png", "mine.npz, which is read: data.path=mine.npz"),
        ("sample", "ckpt=mine.ckpt occlude=top out=mine.png", "mine.npy, which is read: data.path=mine.npy"),
    ],
)
def test_an_output_that_is_an_input_is_refused_before_any_work(tmp_path, command, arguments, message):
    own = "mine.npy" if command == "sample" else "mine.npz"
    overrides = ["data=npz", f"data.path={own}", "data.image_shape=[1,8,8]", "data.levels=2", "model.hidden=2"]
    (tmp_path / "photos").mkdir()
    for end in ("npz", "npy", "png", "gif", "pxl", "safetensors"):
        (tmp_path / f"mine.{end}").write_bytes(b"mine")
    (tmp_path / "photos" / "a.png").write_bytes(b"mine")
    write_checkpoint(tmp_path / "mine.ckpt", build(overrides), overrides)
    before = sorted((path, path.read_bytes()) for path in tmp_path.rglob("*.*"))
    fails(forked(command, *arguments.split(), cwd=tmp_path), "would replace", message)
    assert before == sorted((path, path.read_bytes()) for path in tmp_path.rglob("*.*"))
