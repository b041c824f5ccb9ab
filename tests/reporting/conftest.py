from __future__ import annotations

import pytest

from helpers.running import leave


@pytest.fixture
def sweep(tmp_path):
    folder = tmp_path / "depth"
    leave(folder / "a", "name=depth", "model.n_res=5", "data.levels=4", bits=0.5, curve=[(1, 0.7), (2, 0.5)])
    leave(folder / "b", "name=depth", "model.n_res=15", "data.levels=4", bits=0.25, curve=[(1, 0.6), (2, 0.25)])
    leave(folder / "c", "name=depth", "model.n_res=5", "data.levels=2", stopped=("failed", "no <memory> [left]"))
    leave(folder / "d", "name=depth", "model.n_res=15", "data.levels=2", curve=[(1, 0.9)])
    return folder
