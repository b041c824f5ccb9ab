"""A model with a context behind the commands."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import write_checkpoint
from helpers.process import fails, forked, succeeds
from pixelcnn_lit import build, load
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.storage import checkpoint


@pytest.fixture(scope="module")
def untrained(tmp_path_factory, mnist_dir):
    """Checkpoints of untrained models: one that is given means of 4x4 pixels, which it heeds, and one given nothing."""
    folder = tmp_path_factory.mktemp("context")
    shared = ["model.n_res=1", "model.hidden=4", "data.levels=4", f"data.dir={mnist_dir}", "data.source=torchvision"]
    for name, overrides in (("small", ["context=small", *shared]), ("plain", shared)):
        torch.manual_seed(0)
        density = build(overrides)
        with torch.no_grad():
            for parameter_name, parameter in density.named_parameters():
                if parameter_name.endswith("context_weight"):
                    parameter.normal_(std=2)
        write_checkpoint(folder / f"{name}.ckpt", density, overrides)
    return folder


def images(folder):
    """The test images and their contexts."""
    config = checkpoint.load_with_config(folder / "small.ckpt")[1]
    batch = ImageData(config.data, seed=0, context=config.context).split("test")[:]
    return batch[0], batch[2]


def test_answers_are_those_of_the_contexts_of_the_split(untrained, tmp_path):
    ckpt = untrained / "small.ckpt"
    output = succeeds(forked("sample", f"ckpt={ckpt}", "given=3", "n=2", "seed=5", "batch_size=4", cwd=tmp_path))
    assert "6 answers" in output
    context = images(untrained)[1][:3].repeat_interleave(2, 0)
    expected = load(ckpt).sample(6, 5, context=context)
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), expected.numpy())
    assert not torch.equal(expected, load(ckpt).sample(6, 5, context=context.flip(0)))


def test_a_picture_of_ones_own_is_answered_n_times(untrained, tmp_path):
    original, context = images(untrained)
    Image.fromarray((original[0, 0] * 85).numpy()).save(tmp_path / "me.png")
    arguments = [f"ckpt={untrained / 'small.ckpt'}", "image=me.png", "n=3", "seed=5"]
    assert "3 answers" in succeeds(forked("sample", *arguments, cwd=tmp_path))
    expected = load(untrained / "small.ckpt").sample(3, 5, context=context[:1])
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), expected.numpy())


def test_a_picture_of_the_small_size_is_what_is_given(untrained, tmp_path):
    small = torch.arange(49, dtype=torch.uint8).view(7, 7) * 5
    Image.fromarray(small.numpy()).save(tmp_path / "small.png")
    output = succeeds(forked("sample", f"ckpt={untrained / 'small.ckpt'}", "image=small.png", "n=2", cwd=tmp_path))
    assert "image=small.png: has the size of what is given, 7x7" in output
    expected = load(untrained / "small.ckpt").sample(2, 0, context=small[None, None] / 255)
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), expected.numpy())


def test_completions_are_given_the_context_too(untrained, tmp_path):
    ckpt = untrained / "small.ckpt"
    succeeds(forked("sample", f"ckpt={ckpt}", "occlude=bottom", "n=2", cwd=tmp_path))
    original, context = images(untrained)
    known = torch.arange(28)[:, None].expand(28, 28) < 14
    expected = load(ckpt).complete(original[:2], known, 0, context=context[:2])
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), expected.numpy())


def test_evaluation_says_what_is_given_and_what_it_is_worth(untrained, tmp_path):
    small, plain = (f"{untrained / name}.ckpt" for name in ("small", "plain"))
    output = succeeds(forked("evaluate", f"ckpt={small}", f"beside={plain}", cwd=tmp_path))
    x, context = images(untrained)
    with torch.no_grad():
        bits = [-float(p.double().mean()) / (784 * math.log(2)) for p in
                (load(small).log_prob(x, context=context), load(plain).log_prob(x))]  # fmt: skip
    assert "bits/dim, given context=small" in output
    for value in bits:
        assert f"{value:.6f}"[:-1] in output
    assert f"{bits[0] - bits[1]:+.6f}"[:-1] in output


@pytest.mark.parametrize(
    ("command", "model", "arguments", "message"),
    [
        ("sample", "plain", ["given=3"], "given=3: only for a model with a context"),
        ("sample", "plain", ["image=me.png"], "image=me.png: give occlude=bottom or mask=FILE too"),
        ("sample", "small", ["given=3", "occlude=top"], "given=3: counts pictures of the split"),
        ("sample", "small", ["size=[8,8]"], "size=[8, 8]: images have the size of the pictures that are given"),
        ("sample", "small", ["given=1000000"], "given=1000000: the test split has"),
        ("evaluate", "plain", ["beside=plain.ckpt"], "beside=plain.ckpt: only for a model with a context"),
        ("evaluate", "small", ["beside=small.ckpt"], "beside=small.ckpt: it has context=small"),
        ("evaluate", "small", ["beside=none.ckpt"], "beside=none.ckpt"),
    ],
)
def test_a_context_where_there_is_none_is_refused(untrained, command, model, arguments, message):
    Image.new("L", (28, 28)).save(untrained / "me.png")
    fails(forked(command, f"ckpt={model}.ckpt", *arguments, cwd=untrained), message)
