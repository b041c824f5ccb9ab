"""Each example as a user runs it, in a copy of its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.process import fails, succeeds

SHORT = [
    "data.levels=2",
    "data.batch_size=8",
    "trainer=cpu",
    "trainer.max_steps=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "logger=none",
]
TRAIN = ["-m", "pixelcnn_lit.train", "--config-dir", "conf"]
STRIPES = ["data=stripes", "data.n_images=60", "data.image_shape=[1,6,6]"]
NETWORK = ["model=attention_pixelcnn", "model.hidden=4", *SHORT]
PLAIN = ["model.n_res=1", "model.hidden=4", *SHORT]
BEST = "outputs/mine/checkpoints/best.ckpt"


def metrics(folder: Path) -> dict:
    return json.loads((folder / "outputs/mine/metrics.json").read_text())


def test_a_network_of_ones_own_is_trained_resumed_evaluated_sampled_and_loaded(example, python):
    """On stripes, which are smaller than digits: two plugins in one folder."""
    folder = example("own_network", "own_data")
    plugins, ckpt = "plugins=[attention_pixelcnn,stripes]", f"ckpt={BEST}"
    mine = [*TRAIN, plugins, *NETWORK, *STRIPES]
    succeeds(python(*mine, "name=mine", cwd=folder))
    assert metrics(folder)["model"] == "attention_pixelcnn"

    last = "ckpt=outputs/mine/checkpoints/last.ckpt"
    out = succeeds(python(*mine, "trainer.max_steps=3", last, "name=longer", cwd=folder))
    assert "goes on from" in out

    assert "bits/dim" in succeeds(python("-m", "pixelcnn_lit.evaluate", plugins, ckpt, cwd=folder))
    succeeds(python("-m", "pixelcnn_lit.sample", plugins, ckpt, "n=3", "out=cached.png", cwd=folder))
    naive = ["n=3", "method=naive", "out=naive.png"]
    succeeds(python("-m", "pixelcnn_lit.sample", plugins, ckpt, *naive, cwd=folder))
    assert np.array_equal(np.load(folder / "cached.npy"), np.load(folder / "naive.npy"))

    imports = "import attention_pixelcnn, pixelcnn_lit, stripes"
    (folder / "load.py").write_text(f"{imports}\nprint(pixelcnn_lit.load('{BEST}').image_shape)\n")
    assert "(1, 6, 6)" in succeeds(python("load.py", cwd=folder))

    missing = python("-m", "pixelcnn_lit.sample", "plugins=[stripes]", ckpt, cwd=folder)
    fails(missing, BEST, "model.name='attention_pixelcnn'", "plugins=[")
    fails(python("-m", "pixelcnn_lit.sample", "plugins=[nowhere]", ckpt, cwd=folder), "plugins=nowhere")
    fails(python(*mine, "model.kernel_size=4", cwd=folder), "model.kernel_size=4", "odd")
    fails(python(*mine, "data.image_shape=[3,6,6]", cwd=folder), "likelihood=categorical", "logistic_mixture")


def test_an_installed_package_offers_its_network_by_an_entry_point(example, python, tmp_path):
    folder = example("own_network", "own_data")
    site = tmp_path / "site"
    (site / "attention_pixelcnn-0.1.0.dist-info").mkdir(parents=True)
    (folder / "attention_pixelcnn.py").rename(site / "attention_pixelcnn.py")
    dist = site / "attention_pixelcnn-0.1.0.dist-info"
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: attention-pixelcnn\nVersion: 0.1.0\n")
    (dist / "entry_points.txt").write_text("[pixelcnn_lit.plugins]\nattention_pixelcnn = attention_pixelcnn\n")
    succeeds(python(*TRAIN, "plugins=[stripes]", *NETWORK, *STRIPES, "name=mine", cwd=folder, path=(site,)))
    (folder / "load.py").write_text(f"import pixelcnn_lit, stripes\nprint(pixelcnn_lit.load('{BEST}').image_shape)\n")
    assert "(1, 6, 6)" in succeeds(python("load.py", cwd=folder, path=(site,)))
    alone = python("load.py", cwd=folder)
    assert alone.returncode == 1
    assert "model.name='attention_pixelcnn'" in alone.stderr.splitlines()[-1]


def test_a_data_set_of_ones_own_is_learned_with_its_classes(example, python):
    folder = example("own_data")
    data = ["plugins=[stripes]", *STRIPES, *PLAIN]
    succeeds(python(*TRAIN, *data, "model.n_classes=${data.n_classes}", "name=mine", cwd=folder))
    assert metrics(folder)["source"] == "stripes"
    out = succeeds(python("-m", "pixelcnn_lit.evaluate", "plugins=[stripes]", f"ckpt={BEST}", cwd=folder))
    assert "accuracy of Bayes' rule" in out
    fails(python(*TRAIN, *data, "data.noise=2", cwd=folder), "data.noise=2", "from 0 to 1")


def test_a_likelihood_of_ones_own_is_trained_and_sampled(example, python):
    folder = example("own_likelihood")
    mine = ["plugins=[discrete_gaussian]", "likelihood=discrete_gaussian", "data=digits", *PLAIN, "data.levels=16"]
    succeeds(python(*TRAIN, *mine, "name=mine", cwd=folder))
    small = ["n=3", "size=[5,5]"]
    ckpt = ["plugins=[discrete_gaussian]", f"ckpt={BEST}"]
    succeeds(python("-m", "pixelcnn_lit.sample", *ckpt, *small, cwd=folder))
    assert np.load(folder / "samples.npy").max() < 16


@pytest.mark.parametrize("script", ["train_in_a_script.py", "plain_lightning.py"])
def test_the_scripts_run_as_they_are(example, python, script):
    folder = example("from_python")
    out = succeeds(python(script, cwd=folder))
    assert "loaded: the same images, True" in out or "torch.Size([4, 1, 28, 28])" in out
