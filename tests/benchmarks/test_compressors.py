from __future__ import annotations

import json

import imagecodecs
import numpy as np
import pytest

from benchmarks import compressors
from helpers.builders import write_checkpoint
from pixelcnn_lit import build


@pytest.mark.parametrize("levels", [2, 256])
def test_each_coder_is_measured_on_the_images_asked_for(mnist_dir, tmp_path, levels):
    out = tmp_path / "sizes.json"
    compressors.main(["--n=20", f"--out={out}", f"data.dir={mnist_dir}", f"data.levels={levels}"])
    found = json.loads(out.read_text())
    assert found["images"] == 20
    assert found["bytes"]["PNG, a sheet"] < found["bytes"]["PNG, each"]
    assert set(found["bytes"]) >= {"WebP, each", "JPEG XL, a sheet", "gzip", "xz", "zstd"}


def test_the_file_of_a_model_stands_beside_them(mnist_dir, tmp_path, capsys):
    sizes = ["model.n_res=1", "model.hidden=2", "model.orders=2", "data.levels=3", f"data.dir={mnist_dir}"]
    ckpt, out = tmp_path / "tiny.ckpt", tmp_path / "sizes.json"
    write_checkpoint(ckpt, build(sizes), sizes)
    compressors.main(["--n=5", f"--ckpt={ckpt}", f"--out={out}", f"data.dir={mnist_dir}", "data.levels=3"])
    found = json.loads(out.read_text())
    assert found["bytes"]["compress"] == found["model"]["bytes"]
    assert 0 < found["model"]["bits_per_dim"] < 8 * found["model"]["bytes"] / (5 * 784)
    assert found["model"]["labels"] == 2
    assert "what the model's likelihood says" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        compressors.main(["--n=5", f"--ckpt={ckpt}", f"--out={out}", f"data.dir={mnist_dir}", "data.levels=4"])
    assert "tiny.ckpt: of 3 levels and 1 channels" in capsys.readouterr().err


def test_what_jpeg_xl_and_zstd_write_is_lossless():
    x = np.random.default_rng(0).integers(0, 5, (8, 7, 3), dtype=np.uint8)
    for image, levels in ((x, 5), (x[..., 0], 5), (x[..., 0] % 2, 2)):
        assert (imagecodecs.jpegxl_decode(compressors.jpeg_xl(image, levels)) == image).all()
    assert imagecodecs.zstd_decode(compressors.zstd(x.tobytes())) == x.tobytes()


def test_noise_is_not_compressed():
    x = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    assert all(size > x.size for size in compressors.measured(x, 256).values())
    bits = x[..., :1] % 2
    assert all(size > bits.size / 8 for size in compressors.measured(bits, 2).values())
