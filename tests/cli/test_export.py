from __future__ import annotations

import json

import torch
from safetensors import safe_open

from helpers.process import fails, forked, succeeds
from pixelcnn_lit import load


def test_an_exported_model_is_read_by_the_other_commands(trained, tmp_path):
    best = trained[0] / "checkpoints" / "best.ckpt"
    output = succeeds(forked("export", f"ckpt={best}", "out=small.safetensors", cwd=tmp_path))
    assert output.startswith("small.safetensors: pixelcnn, ")
    with safe_open(tmp_path / "small.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["pixelcnn_lit"])["config"]["model"]["hidden"] == 4
    x = load(best).sample(3, seed=1)
    assert torch.equal(load(tmp_path / "small.safetensors").log_prob(x), load(best).log_prob(x))
    succeeds(forked("sample", "ckpt=small.safetensors", "n=2", cwd=tmp_path))


def test_another_ending_is_refused(trained, tmp_path):
    best = trained[0] / "checkpoints" / "best.ckpt"
    fails(forked("export", f"ckpt={best}", "out=model.ckpt", cwd=tmp_path), "out=model.ckpt: must end in .safetensors")
