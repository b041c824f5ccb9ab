from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageSequence

from helpers.process import forked, succeeds
from pixelcnn_lit.pictures import HIDDEN


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of a tiny run of four scans."""
    folder = tmp_path_factory.mktemp("orders")
    sizes = ["model.n_res=1", "model.hidden=4", "model.orders=4", "data.levels=2", "trainer.max_steps=2"]
    limits = ["trainer.limit_val_batches=1", "logger=none", "trainer=cpu", "name=tiny"]
    succeeds(forked("train", "data=digits", *sizes, *limits, cwd=folder))
    return folder / "outputs" / "tiny"


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
