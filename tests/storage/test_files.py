from __future__ import annotations

import pytest

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.files import check_place, shown, write_whole


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file"
    with write_whole(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail():
        with write_whole(path) as file:
            file.write(b"new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="file/below: cannot be written"), write_whole(tmp_path / "file" / "below"):
        pass
    with pytest.raises(UserError, match="cannot be written"), write_whole(tmp_path) as file:
        file.write(b"a folder has this name")


def test_a_place_that_cannot_be_written_is_found_without_writing(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path, reason in ((tmp_path, "it is a folder"), (tmp_path / "file" / "below" / "x.png", "Not a directory")):
        with pytest.raises(UserError, match=rf"^out={path}: cannot be written \({reason}\)$"):
            check_place("out", path)
    check_place("out", tmp_path / "new" / "below" / "x.png")
    check_place("out", tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_paths_are_shown_as_short_as_they_can_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "outputs" / "run") == "outputs/run"
    assert shown(tmp_path.parent / "elsewhere") == str(tmp_path.parent / "elsewhere")
