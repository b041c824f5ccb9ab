"""Other images beside a model's own."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import write_mnist
from helpers.process import fails, forked, succeeds
from pixelcnn_lit import load
from pixelcnn_lit.analysis import scores
from pixelcnn_lit.analysis.separation import separation
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.storage.checkpoint import KEY, PREFIX, header, write


@pytest.fixture(scope="module")
def ckpt(trained):
    return trained[0] / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def arena(tmp_path_factory, ckpt, mnist_dir):
    """Other data, and other models of the same images: one untrained, one of other levels."""
    folder = tmp_path_factory.mktemp("score")
    write_mnist(folder / "other", train=24, test=9, name="FashionMNIST")
    chosen = {
        "background": [],
        "four": ["data.levels=4"],
        "small": ["context=small"],
        "drawn": ["data.binarize=dynamic"],
    }
    for name, overrides in chosen.items():
        tiny = ["model.n_res=1", "model.hidden=3", "data.levels=2", f"data.dir={mnist_dir}"]
        config = compose([*tiny, *overrides])
        torch.manual_seed(0)
        weights = {PREFIX + key: weight for key, weight in build_density(config).state_dict().items()}
        write(folder / f"{name}.ckpt", {KEY: header(config), "state_dict": weights})
    return folder


def columns(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {key: [row[key] for row in rows] for key in rows[0]}


def images(name, folder, levels=2):
    data = ImageData(compose([f"data={name}", f"data.dir={folder}", f"data.levels={levels}"]).data, seed=0)
    return data.split("train").images, data.split("test").images


def test_every_score_of_every_image_is_written(ckpt, arena, mnist_dir):
    chosen = ["data=fashion_mnist", "data.dir=other", "n=17", "typicality_batch=4"]
    more = ["background=background.ckpt", "ensemble=background.ckpt", "out=new/scores.csv"]
    output = succeeds(forked("score", f"ckpt={ckpt}", *chosen, *more, cwd=arena))
    table = columns(arena / "new" / "scores.csv")
    assert table["images"] == ["own"] * 17 + ["other"] * 9
    assert table["number"] == [str(number) for count in (17, 9) for number in range(count)]
    (train, own), (_, other) = images("mnist", mnist_dir), images("fashion_mnist", arena / "other")
    density, background = load(ckpt), load(arena / "background.ckpt")
    with torch.no_grad():
        usual = -float(density.log_prob(train[:17]).double().mean())
        both = torch.cat([own[:17], other])
        nats, there = density.log_prob(both).double(), background.log_prob(both).double()
    typical = [scores.atypicality(part, usual, 4).repeat_interleave(4).tolist() for part in nats.split([17, 9])]
    expected = {
        "surprise (nats)": -nats,
        "input_complexity (bits)": -nats / math.log(2) - scores.png_bits(both),
        "likelihood_ratio (nats)": there - nats,
        "waic (nats)": scores.waic(torch.stack([nats, there])),
    }
    for name, values in expected.items():
        np.testing.assert_allclose([float(text) for text in table[name]], values, rtol=1e-4, atol=2e-4)
    told = [*typical[0], None, *typical[1], None]
    assert [text == "" for text in table["atypicality (nats)"]] == [value is None for value in told]
    found = [float(text) for text in table["atypicality (nats)"] if text]
    np.testing.assert_allclose(found, [value for value in told if value is not None], rtol=1e-4, atol=2e-4)
    auroc = separation(-nats[:17], -nats[17:]).auroc
    assert f"{auroc:.4f}" in next(line for line in output.splitlines() if "surprise" in line and "nats" in line)
    assert ("more probable than its own" in output) == (auroc < 0.5)
    with Image.open(arena / "new" / "scores.png") as picture:
        assert picture.width > picture.height > 300


def test_a_folder_is_scored_whole_on_request(ckpt, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30), dtype=np.uint8)).save(path)
    Image.fromarray(np.zeros((20, 30), dtype=np.uint8)).save(tmp_path / "photos" / "7.png")
    chosen = ["data=images", "data.path=photos", f"data.dir={tmp_path / 'cache'}", "n=null"]
    for split, count in (("test", 1), ("all", 12)):
        output = succeeds(forked("score", f"ckpt={ckpt}", *chosen, f"split={split}", cwd=tmp_path))
        assert columns(tmp_path / "scores.csv")["images"].count("other") == count
        assert f"{count} images" in output.replace("\n", " ")
    assert columns(tmp_path / "scores.csv")["split"][-12:] == ["train"] * 10 + ["val", "test"]
    table = columns(tmp_path / "scores.csv")
    assert sorted(table["file"]) == sorted([""] * 20 + [f"{number}.png" for number in range(12)])
    black = -load(ckpt).log_prob(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).item()
    assert float(table["surprise (nats)"][table["file"].index("7.png")]) == pytest.approx(black, rel=1e-4)


def test_a_model_beside_its_own_images_is_told_so(ckpt, mnist_dir, tmp_path):
    output = succeeds(forked("score", f"ckpt={ckpt}", "data=mnist", f"data.dir={mnist_dir}", cwd=tmp_path))
    assert "the other images are the model's own, pixel by pixel: there is nothing to tell apart" in output


def test_its_own_images_may_have_moved(ckpt, arena, tmp_path):
    write_mnist(tmp_path, test=5)
    chosen = ["data=fashion_mnist", "data.dir=other", f"out={tmp_path / 'scores.csv'}"]
    succeeds(forked("score", f"ckpt={ckpt}", *chosen, f"own.dir={tmp_path}", cwd=arena))
    assert columns(tmp_path / "scores.csv")["images"].count("own") == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "data=null: name the images to score"),
        ("data=mnist out=scores.txt", "out=scores.txt: must end in .csv"),
        ("data=mnist n=0", "n=0: must be an integer of at least 1 or null"),
        ("data=mnist split=half", "split='half': must be one of train, val, test, all"),
        ("data=mnist typicality_batch=21", "typicality_batch=21: more than the 20 own images"),
        ("data=mnist own.path=x", "own.path=x: data=mnist has no such key but own.source, own.dir"),
        ("data=mnist own.dir=none own.source=torchvision", "own.dir=none"),
        ("data=mnist background=none.ckpt", "background=none.ckpt: no such file"),
        ("data=mnist background=four.ckpt", "background=four.ckpt: it has data.levels=4, ckpt has 2;"),
        ("data=mnist background=small.ckpt", "background=small.ckpt: has context=small; only models without"),
        ("data=mnist ensemble=[four.ckpt]", "ensemble=four.ckpt: it has data.levels=4, ckpt has 2;"),
        ("data=mnist background=drawn.ckpt", "background=drawn.ckpt: it has data.binarize=dynamic, ckpt has null;"),
        ("data=mnist ensemble=[background.ckpt,./background.ckpt]", "ensemble: background.ckpt is named twice"),
        ("data=npz data.path=none.npz", "none.npz"),
    ],
)
def test_what_cannot_be_scored_is_one_line(ckpt, arena, mnist_dir, arguments, message):
    chosen = [f"data.dir={mnist_dir}"] if "mnist" in arguments else []
    fails(forked("score", f"ckpt={ckpt}", *chosen, *arguments.split(), cwd=arena), message)
