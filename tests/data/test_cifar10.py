from __future__ import annotations

import os
import pickle
import pickletools
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pixelcnn_lit.config import compose
from pixelcnn_lit.data import cifar10
from pixelcnn_lit.errors import UserError

PER_BATCH = 6
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, PER_BATCH, 3, 32, 32), dtype=np.uint8)
LABELS = RNG.integers(0, 10, (6, PER_BATCH), dtype=np.uint8)
NAMES = [*cifar10.TRAIN, *cifar10.TEST]


def write_binary(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, images, labels in zip(NAMES, IMAGES, LABELS, strict=True):
        rows = np.concatenate([labels[:, None], images.reshape(PER_BATCH, -1)], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder


def write_pickled(folder: Path) -> Path:
    """As Python 2 wrote them: its strings are bytes, which Python 3 reads if told so."""
    folder.mkdir(parents=True)
    for name, images, labels in zip(NAMES, IMAGES, LABELS, strict=True):
        batch = {b"data": images.reshape(PER_BATCH, -1), b"labels": labels.tolist(), b"filenames": [b"a.png"]}
        content = bytearray(pickle.dumps(batch, protocol=3))
        old = {"BINBYTES": b"T", "SHORT_BINBYTES": b"U"}
        for operation, _, position in list(pickletools.genops(bytes(content))):
            if operation.name in old:
                content[position : position + 1] = old[operation.name]
        (folder / name).write_bytes(content)
    return folder


def load(folder):
    return cifar10.load(compose(["data=cifar10", f"data.dir={folder}"]).data)


@pytest.mark.parametrize(
    ("write", "name"),
    [(write_binary, cifar10.BINARY), (write_pickled, cifar10.PICKLED), (write_binary, "."), (write_pickled, ".")],
)
def test_batches_are_read(tmp_path, write, name):
    write(tmp_path / "there" / name)
    splits = load(tmp_path / "there")
    assert (len(splits.train), len(splits.val), len(splits.test), splits.n_classes) == (28, 2, 6, 10)
    np.testing.assert_array_equal(splits.test.images, IMAGES[5])
    np.testing.assert_array_equal(splits.test.labels, LABELS[5])
    known = {image.tobytes(): label for image, label in zip(IMAGES.reshape(-1, 3072), LABELS.flatten(), strict=True)}
    for split in (splits.train, splits.val):
        assert [known[image.tobytes()] for image in split.images] == split.labels.tolist()


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1]), pickle.dumps({b"data": b"abc", b"labels": [1]})])
def test_a_damaged_pickle_is_named(tmp_path, content):
    folder = write_pickled(tmp_path / cifar10.PICKLED)
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(UserError, match=r"data_batch_3: damaged, or no batch of CIFAR-10"):
        load(tmp_path)


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_never_runs_anybodys_code_nor_asks_for_memory(tmp_path):
    folder = write_pickled(tmp_path / cifar10.PICKLED)
    marker = tmp_path / "ran"
    small = pickle.dumps(np.zeros(1, dtype=np.uint8), protocol=3)
    huge = small.replace(b"K\x00\x85", b"\x8a\x06\0\0\0\0\0\1\x85")  # the shape (0,) becomes (2^40,)
    assert huge != small
    for content in (pickle.dumps({b"data": Hostile(f"touch {marker}")}), huge):
        (folder / "test_batch").write_bytes(content)
        with pytest.raises(UserError, match="test_batch: damaged"):
            load(tmp_path)
    assert not marker.exists()


def test_a_damaged_binary_batch_is_named(tmp_path):
    path = write_binary(tmp_path / cifar10.BINARY) / "data_batch_2.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"data_batch_2.bin: damaged: 18437 bytes, no multiple of 3073"):
        load(tmp_path)
    path.write_bytes(b"\x0a" + content[1:])
    with pytest.raises(UserError, match=r"data_batch_2.bin: damaged: labels \d to 10; they go from 0 to 9"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"data_batch_2: cannot be read \(No such file"):
        load(tmp_path)
    (path.parent / "test_batch.bin").unlink()
    with pytest.raises(UserError, match=r"data_batch_2: cannot be read \(No such file"):
        load(tmp_path)


def test_what_is_not_there_is_downloaded_and_unpacked(tmp_path, monkeypatch):
    import torchvision.datasets.utils

    def fake(url, root, filename, md5):
        assert (url, md5) == (cifar10.URL, cifar10.MD5)
        write_binary(tmp_path / "remote" / cifar10.BINARY)
        with tarfile.open(Path(root, filename), "w:gz") as archive:
            archive.add(tmp_path / "remote" / cifar10.BINARY, cifar10.BINARY)

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", fake)
    (tmp_path / "here").mkdir()
    np.testing.assert_array_equal(load(tmp_path / "here").test.images, IMAGES[5])
    assert sorted(path.name for path in tmp_path.joinpath("here").iterdir()) == [cifar10.BINARY]


def test_no_files_and_no_network_is_an_error_that_names_the_folder(tmp_path, monkeypatch):
    import torchvision.datasets.utils

    def refuse(*args):
        raise OSError("no network in this test")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", refuse)
    with pytest.raises(
        UserError,
        match=r"data.dir=.*: cifar-10-batches-bin/test_batch.bin is not there and cifar10 .*data.dir=DIR$",
    ):
        load(tmp_path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    (tmp_path / "text").write_text("no batch")
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "text", "../text")
    for name in ("other.tar.gz", "text"):
        with pytest.raises(UserError, match=f"{name}: damaged; remove it to fetch it again"):
            cifar10.extract(tmp_path / name, tmp_path / "new")


def packed(folder: Path) -> Path:
    write_binary(folder / "unpacked" / cifar10.BINARY)
    (folder / "here").mkdir()
    path = folder / "here" / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "unpacked" / cifar10.BINARY, cifar10.BINARY)
    return path


def test_an_archive_that_lies_there_is_unpacked_and_kept(tmp_path):
    archive = packed(tmp_path)
    np.testing.assert_array_equal(load(archive.parent).test.images, IMAGES[5])
    assert sorted(path.name for path in archive.parent.iterdir()) == sorted([archive.name, cifar10.BINARY])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_an_archive_is_named_and_leaves_no_batch(tmp_path, share):
    archive = packed(tmp_path)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"cifar-10-binary.tar.gz: damaged; remove it to fetch it again"):
        load(archive.parent)
    assert list(archive.parent.iterdir()) == [archive]


def test_torchvisions_archive_has_to_be_unpacked(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").touch()
    with pytest.raises(UserError, match=r"unpack it there: tar xzf cifar-10-python.tar.gz"):
        load(tmp_path)


def test_a_download_that_ends_early_leaves_nothing(tmp_path, monkeypatch):
    import torchvision.datasets.utils

    def fake(url, root, filename, md5):
        Path(root, filename).write_bytes(b"half")
        raise TimeoutError("timed out")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", fake)
    with pytest.raises(UserError, match="cifar10 could not be downloaded"):
        load(tmp_path)
    assert list(tmp_path.iterdir()) == []
