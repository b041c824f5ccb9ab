from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import compressors


@pytest.mark.parametrize("levels", [2, 256])
def test_each_coder_is_measured_on_the_images_asked_for(mnist_dir, tmp_path, levels):
    out = tmp_path / "sizes.json"
    compressors.main(["--n=20", f"--out={out}", f"data.dir={mnist_dir}", f"data.levels={levels}"])
    found = json.loads(out.read_text())
    assert found["images"] == 20
    assert found["bytes"]["PNG, a sheet"] < found["bytes"]["PNG, each"]
    assert set(found["bytes"]) >= {"WebP, each", "gzip", "xz"}


def test_noise_is_not_compressed():
    x = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    assert all(size > x.size for size in compressors.measured(x, 256).values())
    bits = x[..., :1] % 2
    assert all(size > bits.size / 8 for size in compressors.measured(bits, 2).values())
