"""The notebooks run: their cells shrunken, and by make soak whole, in a kernel."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import nbclient
import numpy as np
import pytest

from pixelcnn_lit.config.data import DATA_SETS
from pixelcnn_lit.config.model import NETWORKS
from pixelcnn_lit.data import mnist
from pixelcnn_lit.data.splits import Split
from pixelcnn_lit.training import run

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.py"))
SMALL = {"STEPS": "2", "SHOWN": "4", "SIDE": "9"}


def cells(path, kind):
    return [cell.source for cell in jupytext.read(path).cells if cell.cell_type == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_run(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "SAMPLES", 2)
    monkeypatch.setattr(run, "COMPLETIONS", 2)
    digits = np.random.default_rng(0).integers(0, 256, (120, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(mnist, "_read_embedded", lambda: Split(digits, np.arange(120) % 10))
    for parts in (NETWORKS, DATA_SETS):
        monkeypatch.setattr(parts, "_parts", dict(parts._parts))
    namespace = {"__name__": path.stem}
    for number, code in enumerate(cells(path, "code")):
        small = re.sub(r"^(\w+) = \d+", lambda match: f"{match[1]} = {SMALL[match[1]]}", code, flags=re.MULTILINE)
        exec(compile(small, f"{path.name}, cell {number}", "exec", dont_inherit=True), namespace)
    assert "the same images: True" in capsys.readouterr().out


@pytest.mark.soak
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_a_kernel(path, tmp_path):
    notebook = jupytext.read(path)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_notebook_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)\)", "\n".join(cells(path, "markdown")))
    assert links
    for link in links:
        assert (path.parent / link).exists(), link
