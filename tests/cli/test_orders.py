from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from helpers.process import forked, succeeds
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.masks import visible_beside
from pixelcnn_lit.pictures import HIDDEN
from pixelcnn_lit.storage.checkpoint import load_with_config


def trained(folder, *options):
    """The folder of a tiny run."""
    sizes = ["model.n_res=1", "model.hidden=4", "data.levels=2", "trainer.max_steps=2"]
    limits = ["trainer.limit_val_batches=1", "logger=none", "trainer=cpu", "name=tiny"]
    succeeds(forked("train", "data=digits", *sizes, *limits, *options, cwd=folder))
    return folder / "outputs" / "tiny"


def of_split(folder):
    """The density of a run, and its test images."""
    density, config = load_with_config(str(folder))
    return density, ImageData(config.data, config.seed).split("test").images


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny run of four scans."""
    return trained(tmp_path_factory.mktemp("orders"), "model.orders=4")


@pytest.fixture(scope="module")
def any_order(tmp_path_factory):
    """A tiny run of a network that takes the order."""
    return trained(tmp_path_factory.mktemp("any"), "model=lmconv", "model.orders=2")


def test_evaluate_tells_each_scan_and_the_mixture_that_training_tells(run, tmp_path):
    tested = json.loads((run / "metrics.json").read_text())["test/bits_per_dim"]
    output = succeeds(forked("evaluate", f"ckpt={run / 'checkpoints' / 'best.ckpt'}", cwd=tmp_path))
    bits = {}
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip("│ ┃|").split("│")]
        if cells[0].startswith("bits/dim"):
            bits[cells[0]] = float(cells[1])
    assert bits.pop("bits/dim, mixture of 4 scans") == pytest.approx(tested, abs=2e-6)
    assert list(bits) == [
        "bits/dim, rows from the top left",
        "bits/dim, rows from the bottom right",
        "bits/dim, columns from the top left",
        "bits/dim, columns from the bottom right",
    ]
    assert tested < np.mean(list(bits.values()))


@pytest.mark.parametrize("side", ["bottom", "top", "left", "right"])
def test_any_half_is_completed_given_all_known_pixels(run, tmp_path, side):
    ckpt = f"ckpt={run / 'checkpoints' / 'best.ckpt'}"
    output = succeeds(forked("sample", ckpt, f"occlude={side}", "n=3", cwd=tmp_path))
    assert "all 392 known pixels condition the drawn ones" in output
    assert "cannot condition" not in output


def test_a_film_shows_each_image_in_its_own_scan(run, tmp_path):
    succeeds(forked("sample", f"ckpt={run}", "n=6", "batch_size=4", "gif=true", "scale=1", cwd=tmp_path))
    with Image.open(tmp_path / "samples.gif") as film:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    with Image.open(tmp_path / "samples.png") as picture:
        np.testing.assert_array_equal(frames[-1], np.asarray(picture))
    assert len(frames) == 29
    blue = (np.stack(frames)[14] == HIDDEN).all(-1)
    halves = {blue[1:29, 1 + 29 * i : 29 + 29 * i].tobytes() for i in range(6)}
    assert 1 < len(halves) <= 4


def test_a_wrong_number_of_orders_is_one_line(tmp_path):
    result = forked("train", "data=digits", "model.orders=3", cwd=tmp_path)
    assert result.returncode != 0
    assert "model.orders=3: must be one of 1, 2, 4, 8" in result.stderr


@pytest.mark.parametrize("part", ["centre", "random"])
def test_a_hole_is_completed_given_all_known_pixels_by_a_network_of_any_order_alone(run, any_order, tmp_path, part):
    arguments = [f"occlude={part}", "seed=4", "n=3"]
    output = succeeds(forked("sample", f"ckpt={any_order}", *arguments, cwd=tmp_path))
    known = visible_beside(part, 28, 28, seed=4)
    assert f"all {known.sum()} known pixels condition the drawn ones" in output
    drawn = np.load(tmp_path / "samples.npy")
    np.testing.assert_array_equal(drawn[..., known], of_split(any_order)[1][:3][..., known])
    output = " ".join(succeeds(forked("sample", f"ckpt={run}", *arguments, cwd=tmp_path)).split())
    assert f"of {known.sum()} known pixels come after an unknown one in each of the model's scans" in output
    assert "A model=lmconv uses all." in output


def test_evaluate_tells_the_bits_of_a_hidden_part(run, any_order, tmp_path):
    for folder, given in (
        (run, "not by the hidden ones before them in the model's order"),
        (any_order, "all 588 by each hidden one"),
    ):
        output = succeeds(forked("evaluate", f"ckpt={folder}", "occlude=centre", "n=40", cwd=tmp_path))
        assert "40 (test)" in output
        row = next(line for line in output.splitlines() if "bits of the hidden part (centre)" in line)
        bits, of_a_pixel = (float(number) for number in re.findall(r"\d+\.\d+", row))
        density, x = of_split(folder)
        x = x[:40]
        known = visible_beside("centre", 28, 28)
        with torch.no_grad():
            expected = -density.completion_log_prob(x, known).double().mean() / math.log(2)
        assert bits == pytest.approx(float(expected), abs=2e-3)
        assert of_a_pixel == pytest.approx(bits / 196, abs=1e-5)
        assert given in " ".join(output.split())
