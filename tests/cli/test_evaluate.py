from __future__ import annotations

import json
import math

import numpy as np
import pytest

from helpers.process import forked, succeeds


@pytest.mark.parametrize("batch_size", [1000, 7])
def test_gives_the_test_number_of_the_training(trained, tmp_path, batch_size):
    run, _ = trained
    metrics = json.loads((run / "metrics.json").read_text())
    ckpt = f"ckpt={run / 'checkpoints' / 'best.ckpt'}"
    output = succeeds(forked("evaluate", ckpt, "out=new/log_probs.npy", f"batch_size={batch_size}", cwd=tmp_path))
    log_probs = np.load(tmp_path / "new" / "log_probs.npy")
    assert log_probs.shape == (20,)
    bits = -log_probs.astype(float).mean() / (784 * math.log(2))
    assert bits == pytest.approx(metrics["test/bits_per_dim"], abs=1e-6)
    assert f"{metrics['test/bits_per_dim']:.6f}"[:-1] in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


def test_another_split_is_another_number(trained, tmp_path):
    run, _ = trained
    output = succeeds(forked("evaluate", f"ckpt={run / 'checkpoints' / 'last.ckpt'}", "split=val", cwd=tmp_path))
    assert "4 (val)" in output
