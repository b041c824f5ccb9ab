"""The site of `make docs` builds, and is strict: what it would not build is told."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pixelcnn_lit
from helpers.process import environment

ROOT = Path(__file__).parents[2]


def built(root: Path, site: Path) -> subprocess.CompletedProcess:
    """What `make docs` runs, in a copy of the repository or in the repository itself."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of the repository."""
    folder = tmp_path_factory.mktemp("site")
    ended = built(ROOT, folder)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_the_site_has_a_page_for_what_the_repository_has(site):
    for page in ("index", "docs/results", "docs/results/index", "docs/results/quickstart/index", "examples/index"):
        assert (site / f"{page}.html").is_file(), page


def test_the_reference_has_each_public_name(site):
    text = (site / "reference" / "pixelcnn_lit.html").read_text()
    for name in set(pixelcnn_lit.__all__) - {"__version__"}:
        assert f".{name}</" in text or f">{name}</" in text, name


def test_a_page_takes_its_parts_from_the_site_alone(site):
    for path in site.rglob("*.html"):
        assert not re.search(r"<(script|img)[^>]* src=.http|<link[^>]*stylesheet[^>]* href=.http", path.read_text()), (
            path
        )


def test_each_mistake_is_told(tmp_path):
    root = copied(tmp_path / "root")
    mistakes = [
        ("docs/models.md", "(data.md)", "(date.md)", "date.md"),
        ("docs/models.md", "#any-order", "#any-odour", "any-odour"),
        ("README.md", "](examples)", "](samples)", "samples"),
        ("mkdocs.yml", "      - Sweeps: docs/sweeps.md\n", "", "docs/sweeps.md"),
        ("src/pixelcnn_lit/metrics.py", '    """Bits', '    b"""Bits', "BitsPerDim has no docstring"),
    ]
    for path, before, after, _ in mistakes:
        text = (root / path).read_text()
        assert before in text
        (root / path).write_text(text.replace(before, after))
    ended = built(root, tmp_path / "site")
    assert ended.returncode != 0
    for *_, told in mistakes:
        assert told in ended.stderr


def copied(root: Path) -> Path:
    """A copy of what the site is made from."""
    for name in ("docs", "website", "examples", "src"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "outputs"))
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, root / name)
    return root
