"""Wrong command lines by the hundred: every key of the seven commands with values of the wrong kind, size or file."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from pixelcnn_lit.config import conf_dir

VALUES = [
    "-1",
    "0",
    "1000000000000",
    "1e308",
    "-0.5",
    "nan",
    "inf",
    "true",
    "null",
    "text",
    "''",
    "[]",
    "[1,2,3,4,5]",
    "{a:1}",
    "'schneemann ☃ \U0001f984'",
    "'../../../etc/passwd'",
    "'a b\tc'",
    "'" + "x" * 5000 + "'",
    "'${oc.env:HOME}'",
    "'${nowhere}'",
    "???",
]
FILES = ("folder", "text.ckpt", "empty.ckpt", "picture.png", "arrays.npz", "foreign.ckpt", "/dev/null", "missing")
PLACES = {"ckpt", "file", "background", "ensemble", "image", "mask", "out", "data.dir", "data.path"}
WHOLE = [
    "--foo",
    "-x",
    "nonsense",
    "=",
    "a=b=c",
    "+new=1",
    "~data",
    "data.levels=[",
    "model=none",
    "data.=1",
    "@a=b",
    "++ckpt=1",
]


class Case(NamedTuple):
    command: str
    arguments: tuple[str, ...]
    key: str
    """The key that the line must name; empty where the whole argument is wrong."""


def make_files(folder: Path) -> None:
    """Files of every kind that is not the one asked for."""
    (folder / "folder").mkdir()
    (folder / "text.ckpt").write_text("not a checkpoint")
    (folder / "empty.ckpt").write_bytes(b"")
    Image.new("L", (5, 4)).save(folder / "picture.png")
    np.savez(folder / "arrays.npz", x_train=np.zeros(3))
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, folder / "foreign.ckpt")


def keys(command: str) -> list[str]:
    """Every key of a command's config, the groups too."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = hydra.compose(command)

    def walk(config: DictConfig, prefix: str) -> Iterator[str]:
        for key in config:
            yield f"{prefix}{key}"
            if not OmegaConf.is_missing(config, key) and isinstance(config._get_node(key), DictConfig):
                yield from walk(config[key], f"{prefix}{key}.")

    return list(walk(composed, ""))


def cases(seed: int = 0) -> list[Case]:
    """All of them, in an order that mixes them well."""
    made = []
    for command in ("train", "evaluate", "sample", "score", "explain", "compress", "decompress"):
        for key in keys(command):
            for value in VALUES:
                made.append(Case(command, (f"{key}={value}",), key))
            if key in PLACES:
                made += [Case(command, (f"{key}={name}",), key) for name in FILES]
        made += [Case(command, (whole,), "") for whole in WHOLE]
    random.Random(seed).shuffle(made)
    return made
