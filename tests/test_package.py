from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import pixelcnn_lit

ROOT = Path(__file__).parents[1]


def test_build_draws_its_weights_from_the_global_generator():
    torch.manual_seed(0)
    first = pixelcnn_lit.build(["model.n_res=1", "model.hidden=2"])
    torch.manual_seed(0)
    second = pixelcnn_lit.build(["model.n_res=1", "model.hidden=2"])
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_wrong_override_is_a_user_error():
    with pytest.raises(pixelcnn_lit.errors.UserError, match=r"model\.n_res=-1"):
        pixelcnn_lit.build(["model.n_res=-1"])


def test_importing_the_package_does_not_import_torch():
    code = "import sys, pixelcnn_lit, pixelcnn_lit.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_wheel_brings_its_configs_along(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    names = {path.relative_to(tmp_path / "site" / "pixelcnn_lit") for path in (tmp_path / "site").rglob("*.yaml")}
    assert names == {path.relative_to(ROOT) for path in (ROOT / "conf").rglob("*.yaml")}
    code = "import sys, pixelcnn_lit; print(pixelcnn_lit.__file__, pixelcnn_lit.build(['model.n_res=0']).levels)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(tmp_path / "site" / "pixelcnn_lit" / "__init__.py"), "256"]
