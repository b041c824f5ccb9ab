from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from helpers.process import forked, succeeds

BINARISED = "pretrained:mnist_scans"


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


def test_relative_paths_mean_the_folder_of_the_start_whatever_hydra_does(trained, tmp_path):
    run, _ = trained
    (tmp_path / "best.ckpt").write_bytes((run / "checkpoints" / "best.ckpt").read_bytes())
    elsewhere = ["hydra.job.chdir=true", "hydra.run.dir=elsewhere"]
    output = succeeds(forked("evaluate", "ckpt=best.ckpt", "out=new.npy", *elsewhere, cwd=tmp_path))
    assert f"relative paths still mean {tmp_path}" in output.replace("\n", "")
    assert (tmp_path / "new.npy").exists()


def test_a_tilde_in_a_path_is_the_home_folder(trained, tmp_path):
    run, _ = trained
    home = {"cwd": tmp_path, "HOME": str(run.parents[1])}
    succeeds(forked("evaluate", "ckpt=~/outputs/tiny/checkpoints/best.ckpt", 'out="~/scores.npy"', **home))
    assert (run.parents[1] / "scores.npy").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_binarised_model_has_a_spread_over_binarisations_and_no_other_has(tmp_path):
    few = ["split=val", "n=4", "data=digits"]
    output = succeeds(forked("evaluate", f"ckpt={BINARISED}", "binarisations=3", *few, cwd=tmp_path))
    first, average, deviation = (float(number) for number in re.findall(r"(?<= )\d+\.\d{4}(?!\d)", output))
    assert 0 < abs(first - average) < 2 * deviation
    assert "no test of a model that was trained on" in output.replace("\n", " ")  # MNIST's files, with these digits
    refused = forked("evaluate", "ckpt=pretrained:digits", "binarisations=3", cwd=tmp_path)
    assert refused.returncode == 1
    assert "binarisations=3: only for a model of data.binarize=dynamic" in refused.stderr
