from __future__ import annotations

from types import SimpleNamespace

import pytest

from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.errors import UserError


def data(path=None, name=None):
    return SimpleNamespace(name=name, path=path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a file of each kind; the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("me.png", "mine.npz", "photos/a.png", "photos/list.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / "link.png").symlink_to("me.png")
    (tmp_path / "folder.npz").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("config", "beside", "message"),
    [
        ({"out": "me.png", "image": "me.png"}, [], "out=me.png: would replace me.png, which is read: image=me.png;"),
        ({"out": "me.png", "image": ["a.png", "./me.png"]}, [], "out=me.png: .*: image=me.png; choose another name"),
        ({"out": "link.png", "mask": "me.png"}, [], "out=link.png: would replace link.png, which is read: mask=me.png"),
        ({"out": "mine.png", "data": data("mine.npz")}, [".npz"], "out=mine.png: .* mine.npz, .*: data.path=mine.npz"),
        ({"out": "a.csv", "own": data("a.png")}, [".png"], "out=a.csv: would replace a.png, .*: own.path=a.png"),
        ({"out": None, "picture": "me.png", "beside": "me.png"}, [], "picture=me.png: .*: beside=me.png"),
        ({"out": "photos/a.png", "data": data("photos")}, [], "out=photos/a.png: .*: data.path=photos"),
        ({"out": "mine.png", "data": data()}, [".npz"], "out=mine.png: .* mine.npz, .*: data.path=mine.npz"),
        ({"out": "folder.png"}, [".npz"], "out=folder.npz: cannot be written .it is a folder."),
    ],
)
def test_what_is_read_is_never_replaced(here, config, beside, message):
    with pytest.raises(UserError, match=message):
        check_outputs(SimpleNamespace(**config), *beside, trained=data("mine.npz"))


def test_all_else_may_be_written(here):
    for config in (
        {"out": "photos/new.png", "data": data("photos")},
        {"out": "photos/list.csv", "data": data("photos")},
        {"out": "photos/a.png", "ckpt": "photos"},
        {"out": "mine.png", "data": data("photos", name="images")},
        {"out": "mine.png", "picture": None, "image": None, "data": data("x\0y")},
    ):
        check_outputs(SimpleNamespace(**config), ".npz", trained=None if "picture" in config else data("z.npz"))
