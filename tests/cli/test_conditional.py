"""A class-conditional model behind the commands."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import write_checkpoint
from helpers.process import fails, forked, succeeds
from pixelcnn_lit import build, load
from pixelcnn_lit.analysis.calibration import calibration, with_noise
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.images import ImageData


@pytest.fixture(scope="module")
def conditional(tmp_path_factory, mnist_dir):
    """A checkpoint of an untrained model whose classes differ."""
    overrides = ["model=gated_pixelcnn", "model.n_res=1", "model.hidden=4", "model.n_classes=10", "data.levels=2"]
    overrides += [f"data.dir={mnist_dir}", "data.source=torchvision"]
    torch.manual_seed(0)
    density = build(overrides)
    with torch.no_grad():
        for name, parameter in density.named_parameters():
            if name.endswith("class_bias"):
                parameter.normal_(std=3)
    path = tmp_path_factory.mktemp("conditional") / "model.ckpt"
    write_checkpoint(path, density, overrides)
    return path


def test_a_row_of_samples_for_each_class(conditional, tmp_path):
    output = succeeds(forked("sample", f"ckpt={conditional}", "label=each", "n=25", "seed=3", cwd=tmp_path))
    assert "20 samples" in output
    expected = load(conditional).sample(20, 3, torch.arange(10).repeat_interleave(2))
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), expected.numpy())
    with Image.open(tmp_path / "samples.png") as image:
        assert image.height > 4 * image.width


def test_evaluation_classifies_and_sums_over_the_classes(conditional, tmp_path, mnist_dir):
    asked = ["out=log_probs.npy", "noise=[0.2,1]", "picture=sure.png"]
    output = succeeds(forked("evaluate", f"ckpt={conditional}", *asked, cwd=tmp_path))
    config = compose([f"data.dir={mnist_dir}", "data.source=torchvision", "data.levels=2"])
    test, density = ImageData(config.data, seed=0).split("test"), load(conditional)
    images, labels = (torch.as_tensor(part) for part in (test.images, test.labels))
    with torch.no_grad():
        each = density.class_log_probs(images)
        np.testing.assert_allclose(np.load(tmp_path / "log_probs.npy"), density.log_prob(images).numpy(), rtol=1e-5)
    right = (each.argmax(1) == labels).double().mean().item()
    assert f"{right:.4%}" in output
    judged = calibration(each, labels)
    lines = output.splitlines()
    assert f"{judged.error:.4f}" in next(line for line in lines if "its calibration error" in line)
    assert f"{judged.confidence:.4%}" in next(line for line in lines if "its mean confidence" in line)
    with Image.open(tmp_path / "sure.png") as picture:
        assert picture.width > picture.height
    noisy = with_noise(density, ImageData(config.data, seed=0), "test", 0.2, torch.device("cpu"))
    assert f"{noisy.error:.4f}" in next(line for line in lines if " 0.2 " in line)
    given = -each.gather(1, labels.long()[:, None]).double().mean().item() / (784 * math.log(2))
    assert f"{given:.6f}"[:-1] in output


def test_noise_is_for_classifiers(trained, tmp_path):
    ckpt = f"ckpt={trained[0] / 'checkpoints' / 'best.ckpt'}"
    fails(forked("evaluate", ckpt, "noise=[0.1]", cwd=tmp_path), "noise=[0.1]: only where the images have the classes")
    fails(forked("evaluate", ckpt, "noise=[1.5]", cwd=tmp_path), "noise")
    fails(forked("evaluate", ckpt, "picture=a.png", cwd=tmp_path), "picture=a.png: only where the images have the")
    fails(forked("evaluate", ckpt, "picture=a.jpg", cwd=tmp_path), "picture=a.jpg: must end in .png")


def test_a_class_that_the_model_does_not_have_is_refused(conditional, tmp_path):
    fails(forked("sample", f"ckpt={conditional}", "label=10", cwd=tmp_path), "label=10: must be from 0 to 9, or each")


def test_a_conditional_pixelcnn_pp_is_trained_from_data_on(tmp_path, mnist_dir):
    small = ["model.n_res=1", "model.hidden=4", "model.resolutions=2", "data.levels=4", "trainer.max_epochs=1"]
    chosen = ["model=pixelcnn_pp", "likelihood=logistic_mixture", "likelihood.n_mix=2", "model.n_classes=10"]
    data = [f"data.dir={mnist_dir}", "data.source=torchvision", "data.batch_size=16", "logger=none"]
    output = succeeds(forked("train", *chosen, *small, *data, "name=pp", cwd=tmp_path))
    assert ", given the class, of " in next(line for line in output.splitlines() if "test bits/dim" in line)
    metrics = json.loads((tmp_path / "outputs" / "pp" / "metrics.json").read_text())
    assert 0 < metrics["test/bits_per_dim"] < 3
    assert metrics["classes"] == 10
    with Image.open(tmp_path / "outputs" / "pp" / "samples.png") as image:
        assert image.height > image.width  # ten rows of six
