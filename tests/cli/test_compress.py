"""Images as a file of the size that their likelihood says, and back."""

from __future__ import annotations

import json
import math
import zlib

import numpy as np
import pytest
import torch

from helpers.process import fails, forked, succeeds
from pixelcnn_lit import load
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.storage import pxl
from pixelcnn_lit.storage.checkpoint import KEY, PREFIX, header, write


@pytest.fixture(scope="module")
def arena(tmp_path_factory, mnist_dir):
    """Checkpoints of untrained models: of 256 levels, with other weights, with a context, and of classes and scans."""
    folder = tmp_path_factory.mktemp("compress")
    for seed, (name, overrides) in enumerate(
        {"a": [], "b": [], "small": ["context=small"], "orders": ["model.orders=2", "model.n_classes=10"]}.items()
    ):
        tiny = ["model.n_res=1", "model.hidden=3", "data.levels=256", f"data.dir={mnist_dir}"]
        config = compose([*tiny, *overrides])
        torch.manual_seed(seed)
        weights = {PREFIX + key: weight for key, weight in build_density(config).state_dict().items()}
        write(folder / f"{name}.ckpt", {KEY: header(config), "state_dict": weights})
    (folder / "folder.pxl").mkdir()
    (folder / "x.pxl").touch()
    output = succeeds(forked("compress", "ckpt=a.ckpt", "block=6", "batch_size=4", "out=x.pxl", cwd=folder))
    return folder, output


def bits(output, what):
    line = next(line for line in output.splitlines() if what in line)
    return float(line.split("│")[-2])


def test_the_file_is_as_long_as_the_likelihood_says_and_gives_the_images_back(arena, mnist_dir, tmp_path):
    folder, output = arena
    assert "x.pxl: in place of an older file of this name" in output
    size, says = bits(output, "bits/dim of the file"), bits(output, "bits/dim of the model")
    found, begin = pxl.read_header(folder / "x.pxl")
    assert size == pytest.approx(8 * (folder / "x.pxl").stat().st_size / (20 * 784), abs=1e-6)
    # The header and the ends of four blocks are much of so few images.
    assert says - 0.001 < size < 1.003 * says + 8 * (begin + 4 * 8) / (20 * 784)
    assert [block.images for block in found.blocks] == [6, 6, 6, 2]
    data = ImageData(compose([f"data.dir={mnist_dir}", "data.levels=256"]).data, seed=0)
    images = data.split("test").images.numpy()
    for batch_size, threads in ((256, "1"), (5, "2")):
        chosen = ["ckpt=a.ckpt", "file=x.pxl", f"batch_size={batch_size}", f"out={tmp_path / 'x.npy'}"]
        succeeds(forked("decompress", *chosen, cwd=folder, OMP_NUM_THREADS=threads))
        np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), images)
    succeeds(
        forked("decompress", "ckpt=a.ckpt", "file=x.pxl", "first=5", "n=3", f"out={tmp_path / 'few.npy'}", cwd=folder)
    )
    np.testing.assert_array_equal(np.load(tmp_path / "few.npy"), images[5:8])


def test_a_mixture_of_scans_and_classes_tells_its_own_bits_and_at_most_a_label_more(arena, mnist_dir, tmp_path):
    folder, _ = arena
    out = [f"out={tmp_path / 'x.pxl'}", "n=7", "batch_size=3"]
    output = succeeds(forked("compress", "ckpt=orders.ckpt", *out, cwd=folder))
    assert "at most 4.32 bits an image more than of the model" in output  # log2(2 scans x 10 classes)
    density = load(folder / "orders.ckpt")
    data = ImageData(compose([f"data.dir={mnist_dir}", "data.levels=256"]).data, seed=0)
    x = data.split("test").images[:7]
    with torch.no_grad():
        expected = density.bits_per_dim(x).mean().item()
    says, size = bits(output, "bits/dim of the model"), bits(output, "bits/dim of the file")
    assert says == pytest.approx(expected, abs=1e-5)
    _, begin = pxl.read_header(tmp_path / "x.pxl")
    assert size < 1.003 * says + (7 * math.log2(20) + 8 * (begin + 8)) / (7 * 784)
    chosen = [f"file={tmp_path / 'x.pxl'}", f"out={tmp_path / 'x.npy'}", "ckpt=orders.ckpt"]
    succeeds(forked("decompress", *chosen, cwd=folder))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), x.numpy())


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("compress", "ckpt=a.ckpt out=x.zip", "out=x.zip: must end in .pxl"),
        ("compress", "ckpt=a.ckpt out=folder.pxl", "folder.pxl: cannot be written (it is a folder)"),
        ("compress", "ckpt=a.ckpt out=a.ckpt/x.pxl", "x.pxl: cannot be written"),
        ("decompress", "ckpt=a.ckpt file=x.pxl out=a.ckpt/x.npy", "x.npy: cannot be written"),
        ("compress", "ckpt=a.ckpt n=21", "n=21: the test split has 20 images"),
        ("compress", "ckpt=small.ckpt", "ckpt=small.ckpt: has context=small, which a compressed file does not hold"),
        ("decompress", "ckpt=b.ckpt file=x.pxl", "file=x.pxl: written with another model (pixelcnn) than ckpt=b.ckpt"),
        ("decompress", "ckpt=a.ckpt file=x.pxl out=x.png", "out=x.png: must end in .npy"),
        ("decompress", "ckpt=a.ckpt file=none.pxl", "file=none.pxl: no such file"),
        ("decompress", "ckpt=a.ckpt file=a.ckpt", "file=a.ckpt: no file of compressed images"),
        ("decompress", "ckpt=a.ckpt file=x.pxl first=18 n=3", "first=18, n=3: the file has the images 0 to 19"),
        ("decompress", "ckpt=a.ckpt file=x.pxl first=20", "first=20, n=null: the file has the images 0 to 19"),
    ],
)
def test_what_cannot_be_coded_is_one_line(arena, command, arguments, message):
    fails(forked(command, *arguments.split(), cwd=arena[0]), message)


def test_a_file_that_lies_ends_in_a_line(arena, tmp_path):
    folder, _ = arena
    found, begin = pxl.read_header(folder / "x.pxl")
    contents = [content for _, content in pxl.read_blocks(folder / "x.pxl", found, begin, 0, 20)]

    def forged(header, contents):
        with (tmp_path / "forged.pxl").open("wb") as file:
            pxl.write(file, header, contents)
        return forked("decompress", f"ckpt={folder / 'a.ckpt'}", "file=forged.pxl", cwd=tmp_path)

    def but(**changed):
        return found.model_validate_json(json.dumps(found.model_dump(mode="json") | changed))

    fails(forged(but(format=2), contents), "format 2")
    fails(forged(but(precision="float8"), contents), "float8")
    for number, content in enumerate((contents[1], b"\xff" * len(contents[0]), b"\0" * len(contents[0]))):
        one = found.blocks[0].model_dump() | {"payload": len(content), "corrections": 0, "crc": zlib.crc32(content)}
        rest = [block.model_dump() for block in found.blocks[1:]]
        line = fails(forged(but(blocks=[one, *rest]), [content, *contents[1:]]), "forged.pxl: block 0: ")
        assert "damaged" in line or "decoded to other images" in line, number
    odd = found.blocks[0].model_dump() | {"corrections": 5, "payload": found.blocks[0].payload - 5}
    fails(forged(but(blocks=[odd, *rest]), contents), "lengths that nothing has")
    assert not (tmp_path / "images.npy").exists()
