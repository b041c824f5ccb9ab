"""The house keeps its order: small functions, imports at the top and downhill, no riddles."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "pixelcnn_lit"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 40

FLOORS = [
    {"errors", "scores", "start"},
    {"config"},
    {"registry", "messages", "device", "metrics", "progress"},
    {"nn", "likelihood"},
    {"models", "sampling", "holes"},
    {"density", "orders", "any_order", "autoencoder"},
    {"vqvae_model"},
    {"factory", "data", "storage", "masks"},
    {"pictures"},
    {"training", "analysis"},
    {"sweeps"},
    {"reporting"},
    {"page"},
    {"cli"},
    {
        "train",
        "evaluate",
        "sample",
        "score",
        "explain",
        "compress",
        "decompress",
        "demo",
        "export",
        "report",
        "receptive_field",
        "pretrained",
        "vqvae",
    },
]
"""From the ground up: a room may import from its own floor and from those below."""

LATE_IMPORTS = {
    "__init__.py": "torch stays unimported until somebody asks for a model",
}


def tree(path):
    return ast.parse(path.read_text())


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_function_fits_on_a_screen(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < LONGEST, f"{node.name}: {node.end_lineno - node.lineno + 1} lines"


def test_imports_are_at_the_top():
    late = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert late == LATE_IMPORTS.keys()


def imported_rooms(path):
    """The rooms that a module imports from when it is imported."""
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pixelcnn_lit"):
            inside = node.module.split(".")[1:]
            yield from [inside[0]] if inside else [alias.name for alias in node.names]


def test_imports_go_downhill():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    uphill = {
        (room(path), other)
        for path in FILES
        if path != PACKAGE / "__init__.py"
        for other in imported_rooms(path)
        if floor[other] > floor[room(path)]
    }
    assert not uphill


def imported_from(path):
    """The modules that a module imports when it is imported, by their dotted names."""
    for node in tree(path).body:
        if isinstance(node, ast.Import):
            yield from [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from [f"{node.module}.{alias.name}" for alias in node.names]


def all_imported_from(name, seen):
    """Add to ``seen`` what is imported with a module of the package, and with those that it imports."""
    for end in (".py", "/__init__.py"):
        path = PACKAGE.parent / (name.replace(".", "/") + end)
        if name not in seen and path.is_file():
            seen.add(name)
            for other in imported_from(path):
                all_imported_from(other, seen)
    seen.add(name)


@pytest.mark.parametrize("module", ["samples", "compression", "export"])
def test_what_takes_a_trained_model_waits_for_no_library_of_training(module):
    """Each takes a second or more to import; torch takes two, which these commands do need."""
    seen = set()
    all_imported_from(f"pixelcnn_lit.analysis.{module}", seen)
    assert {"torch", "pixelcnn_lit.density"} <= seen
    slow = {"pytorch_lightning", "torchmetrics", "torchvision", "tensorboard", "optuna", "scipy"}
    assert not {name.partition(".")[0] for name in seen} & slow


def test_every_room_has_a_floor_and_there_are_no_utils():
    rooms = {room(path) for path in FILES} - {"__init__"}
    assert rooms == set().union(*FLOORS)
    assert not any("util" in part for path in FILES for part in path.parts)
