from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from helpers.builders import write_idx, write_mnist
from pixelcnn_lit.config import compose
from pixelcnn_lit.data import datasets, download, mnist
from pixelcnn_lit.errors import UserError

REAL = Path(__file__).parents[3] / "shared" / "data"


def load(name, source, folder, split_seed):
    data = compose([f"data={name}", f"data.source={source}", f"data.dir={folder}", f"data.split_seed={split_seed}"])
    return mnist.load(data.data)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_embedded_digits_are_split_4000_500_500_without_overlap():
    splits = load("mnist", "embedded", "nowhere", split_seed=0)
    parts = [splits.train, splits.val, splits.test]
    assert [p.images.shape for p in parts] == [(4000, 1, 28, 28), (500, 1, 28, 28), (500, 1, 28, 28)]
    assert splits.source == "embedded"
    assert len({image.tobytes() for part in parts for image in part.images}) == 5000
    for part in parts:
        assert set(part.labels) == set(range(10))
    again = load("mnist", "embedded", "nowhere", split_seed=0)
    np.testing.assert_array_equal(again.val.images, splits.val.images)
    assert not np.array_equal(load("mnist", "embedded", "nowhere", split_seed=1).val.labels, splits.val.labels)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("source", ["torchvision", "auto"])
def test_files_in_torchvisions_layout_are_read(tmp_path, suffix, source):
    write_mnist(tmp_path, train=48, test=20, suffix=suffix)
    splits = load("mnist", source, str(tmp_path), split_seed=0)
    assert splits.source == "torchvision"
    assert [len(p.images) for p in (splits.train, splits.val, splits.test)] == [44, 4, 20]


@pytest.mark.skipif(not (REAL / "MNIST").is_dir(), reason="the real MNIST files are not here")
def test_the_real_mnist_is_split_55000_5000_10000():
    splits = load("mnist", "torchvision", str(REAL), split_seed=0)
    assert [len(p.images) for p in (splits.train, splits.val, splits.test)] == [55_000, 5_000, 10_000]


def test_fashion_mnist_has_a_folder_of_its_own(tmp_path):
    write_mnist(tmp_path, name="FashionMNIST")
    assert load("fashion_mnist", "torchvision", str(tmp_path), split_seed=0).source == "torchvision"


def test_files_may_lie_in_the_folder_itself(tmp_path):
    """As Debian's package dataset-fashion-mnist has them in /usr/share/datasets/fashion-mnist."""
    write_mnist(tmp_path, name="FashionMNIST", suffix=".gz")
    assert load("fashion_mnist", "auto", str(tmp_path / "FashionMNIST" / "raw"), 0).source == "torchvision"


@pytest.mark.usefixtures("offline")
def test_auto_falls_back_on_the_embedded_digits_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    folder = tmp_path / "[bold]of mine"
    folder.mkdir()
    assert load("mnist", "auto", f"'{folder}'", split_seed=0).source == "embedded"
    told = capsys.readouterr().err
    assert "not the full MNIST" in told
    assert f"data.dir={folder}: " in told


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "source", "way_out"),
    [("mnist", "torchvision", "data.dir=DIR, or .*data.source=embedded"), ("fashion_mnist", "auto", "data.dir=DIR$")],
)
def test_no_files_and_no_network_is_an_error_that_names_the_folder_and_the_way_out(tmp_path, name, source, way_out):
    with pytest.raises(UserError, match=f"data.dir={tmp_path}: .*train-images-idx3-ubyte is not there.*{way_out}"):
        load(name, source, str(tmp_path), split_seed=0)


def test_only_mnist_is_embedded():
    with pytest.raises(UserError, match="only data=mnist is embedded"):
        load("fashion_mnist", "embedded", "nowhere", split_seed=0)


@pytest.mark.parametrize("source", ["torchvision", "auto"])
def test_a_damaged_file_is_an_error_even_where_there_would_be_another_source(tmp_path, source):
    write_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="train-images-idx3-ubyte: damaged"):
        load("mnist", source, str(tmp_path), split_seed=0)


def test_labels_that_do_not_match_the_images_are_named(tmp_path):
    write_mnist(tmp_path, train=48)
    write_mnist(tmp_path / "other", train=24)
    labels = "MNIST/raw/train-labels-idx1-ubyte"
    (tmp_path / labels).write_bytes((tmp_path / "other" / labels).read_bytes())
    with pytest.raises(UserError, match="24 labels for the 48 images"):
        load("mnist", "torchvision", str(tmp_path), split_seed=0)


def letters(folder):
    """EMNIST's letters, 1 to 26, under MNIST's names."""
    write_mnist(folder)
    for part, count in (("train", 48), ("t10k", 20)):
        write_idx(folder / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte", 1 + np.arange(count) % 26)


def test_other_classes_than_mnists_ten_are_refused_by_what_would_read_them(tmp_path):
    letters(tmp_path)
    with pytest.raises(UserError, match=r"not MNIST's ten classes: .* from 1 to 26. data.n_classes=27 reads them"):
        load("mnist", "torchvision", str(tmp_path), split_seed=0)


@pytest.mark.parametrize(("asked", "got"), [(27, 27), (0, 27)])
def test_other_classes_than_mnists_ten_are_read_on_request(tmp_path, asked, got):
    letters(tmp_path)
    overrides = ["data=mnist", "data.source=torchvision", f"data.dir={tmp_path}", f"data.n_classes={asked}"]
    splits = datasets.load(compose(overrides).data)
    assert splits.n_classes == got
    assert {*splits.train.labels, *splits.val.labels} == set(range(1, 27))


def renamed(folder, rename):
    """A small MNIST in a folder, each of its files under another name."""
    raw = write_mnist(folder / "original") / "MNIST" / "raw"
    for path in raw.iterdir():
        target = folder / "mn" / rename(path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return folder / "mn"


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"{name}/{name}",
        lambda name: f"{name}/{name.replace('-idx', '.idx')}",
        lambda name: f"MNIST/raw/{name.replace('-idx', '.idx')}",
        lambda name: f"MNIST/{name}",
    ],
    ids=["dot", "folder", "folder with dot", "dot in raw", "without raw"],
)
def test_files_are_read_under_the_names_that_unpackers_give_them(tmp_path, rename):
    splits = load("mnist", "auto", str(renamed(tmp_path, rename)), split_seed=0)
    assert (splits.source, len(splits.test)) == ("torchvision", 20)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    "rename",
    [lambda name: f"{name}.zip", lambda name: f"emnist-letters-{name}", lambda name: f"{name}/something"],
    ids=["zip", "emnist", "folder"],
)
def test_files_under_names_that_are_not_read_are_never_passed_over(tmp_path, rename):
    with pytest.raises(UserError, match=r"mn has .*train-images.*, but not train-images-idx3-ubyte, .*Rename"):
        load("mnist", "auto", str(renamed(tmp_path, rename)), split_seed=0)


@pytest.mark.usefixtures("offline")
def test_some_of_the_four_files_are_not_mixed_with_others(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="but not t10k-labels-idx1-ubyte"):
        load("mnist", "auto", str(tmp_path), split_seed=0)


def test_a_data_dir_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: no folder"):
        load("mnist", "auto", str(tmp_path / "file"), split_seed=0)


def test_too_few_images_to_split_are_an_error(tmp_path):
    write_mnist(tmp_path, train=11, test=0)
    with pytest.raises(UserError, match="11 training and 0 test images; at least 12 and 1 are needed"):
        load("mnist", "torchvision", str(tmp_path), split_seed=0)


def test_a_download_is_tried_with_a_short_timeout(tmp_path, monkeypatch):
    import torchvision

    seen = []

    def fake(folder, download):
        seen.append(socket.getdefaulttimeout())
        write_mnist(folder)

    monkeypatch.setattr(torchvision.datasets, "MNIST", fake)
    assert load("mnist", "auto", str(tmp_path), split_seed=0).source == "torchvision"
    assert seen == [download.TIMEOUT]
    assert socket.getdefaulttimeout() is None
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


@pytest.mark.parametrize("error", [TimeoutError("timed out"), KeyboardInterrupt()])
def test_a_download_that_ends_early_leaves_no_half_of_a_file(tmp_path, monkeypatch, error):
    import torchvision

    def fake(folder, download):
        path = folder / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torchvision.datasets, "MNIST", fake)
    with pytest.raises((UserError, KeyboardInterrupt)):
        load("mnist", "torchvision", str(tmp_path), split_seed=0)
    assert list(tmp_path.iterdir()) == []
