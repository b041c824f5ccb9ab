from __future__ import annotations

import math
import subprocess

from pixelcnn_lit.training import summary


def test_the_revision_is_that_of_the_checkout_that_holds_the_code(tmp_path, monkeypatch):
    repository = tmp_path / "somebodys"
    package = repository / "site-packages"
    package.mkdir(parents=True)
    (package / "summary.py").write_text("")
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    subprocess.run([*run, "commit", "--quiet", "--allow-empty", "-m", "theirs"], cwd=repository, check=True)
    monkeypatch.setattr(summary, "__file__", str(package / "summary.py"))
    assert summary.git_revision() is None
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    assert summary.git_revision().endswith("-dirty")
    monkeypatch.setattr(summary, "__file__", str(tmp_path / "summary.py"))
    assert summary.git_revision() is None


def test_metrics_that_json_cannot_hold_become_null():
    assert summary.valid({"a": math.nan, "b": -math.inf, "c": 1.5, "d": None, "e": "nan"}) == {
        "a": None,
        "b": None,
        "c": 1.5,
        "d": None,
        "e": "nan",
    }
