"""docs/extending.md, as a reader follows it: in an empty folder, each file and command as it is printed."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from helpers.builders import spread_out
from helpers.process import command, fails, succeeds
from pixelcnn_lit import Categorical, CausalConv2d, CausalNetwork, Density
from pixelcnn_lit.sampling import draw, ties

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


class Block(NamedTuple):
    language: str
    code: str
    file: str | None
    """What the sentence before it ends in, if that is the name of a file."""
    how: dict[str, str]


def blocks() -> Iterator[Block]:
    pattern = r"^((?:<!-- [^\n]* -->\n)*)```(\w+)\n(.*?)^```$"
    text = PAGE.read_text()
    for found in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        how = dict(re.findall(r"<!-- ([a-z ]+): (.*) -->", found[1]))
        name = re.search(r"`([\w/]+\.(?:py|yaml|toml))`:\n+\Z", text[: found.start()])
        yield Block(found[2], found[3], name and name[1], how)


def commands(block: Block) -> Iterator[list[str]]:
    for line in block.code.splitlines():
        _, _, module, *arguments = shlex.split(line)
        yield [module, *arguments, *(shlex.split(block.how.get("shrink", "")) if module.endswith("train") else [])]


def write(folder: Path) -> None:
    for block in blocks():
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.code)


def ours(block: Block) -> bool:
    return block.language == "sh" and "pip install" not in block.code


def test_the_page_has_what_it_speaks_of():
    files = [block.file for block in blocks() if block.file]
    assert [name for name in files if name.endswith(".py")] == [
        "my_network.py",
        "load_it.py",
        "check.py",
        "running_mean.py",
        "recorded_mean.py",
        "dots.py",
        "binomial.py",
        "check_binomial.py",
    ]
    assert sum(name.endswith("yaml") for name in files) == 3
    assert "pyproject.toml" in files


def test_the_page_works_as_printed(tmp_path, python):
    write(tmp_path)
    for block in blocks():
        if ours(block) and "soak" not in block.how["not run"]:
            for words in commands(block):
                succeeds(python("-m", *words, cwd=tmp_path))
        elif block.file in ("load_it.py", "check.py", "check_binomial.py"):
            succeeds(python(block.file, cwd=tmp_path))
    without = python("-m", "pixelcnn_lit.sample", "ckpt=outputs/mine/checkpoints/best.ckpt", cwd=tmp_path)
    (shown,) = [block.code for block in blocks() if block.language == "text"]
    assert fails(without) == shown.strip()


@pytest.mark.parametrize("leaks", [None, "chunk", "gated=False"])
def test_the_check_of_the_page_tells_its_gate_from_one_that_leaks_in_colour(tmp_path, python, leaks):
    write(tmp_path)
    (lines,) = [block.code for block in blocks() if "puts these lines" in block.how.get("not run", "")]
    imported, kept, built, called = [line.partition("  #")[0] for line in lines.splitlines() if line]
    if leaks == "chunk":
        called = "a, b = self.conv(torch.relu(h), at).chunk(2, dim=1); h = h + torch.tanh(a) * torch.sigmoid(b)"
    elif leaks:
        built = built.replace("gated=True", leaks)
    network = tmp_path / "my_network.py"
    code = f"{imported}\n{network.read_text()}"
    for name, line in (("self.conv = ", f"{kept}; {built}"), ("h = h + ", called)):
        (old,) = [other.strip() for other in code.splitlines() if other.strip().startswith(name)]
        code = code.replace(old, line)
    network.write_text(code)
    result = python("check.py", cwd=tmp_path)
    if leaks:
        assert re.search(r"3 channels: number \d+ sees itself or a later one", result.stderr), result.stderr
    else:
        succeeds(result)


@pytest.mark.soak
def test_the_page_works_as_printed_in_processes_of_its_own(tmp_path):
    write(tmp_path)
    for block in blocks():
        for words in commands(block) if ours(block) else ():
            succeeds(command(words[0].removeprefix("pixelcnn_lit."), *words[1:], cwd=tmp_path))
    assert len(list((tmp_path / "outputs/widths").glob("*/metrics.json"))) == 2


class MeanNetwork(CausalNetwork):
    cached_sampling = True

    def __init__(self, mean):
        super().__init__()
        self.embed, self.mean, self.out = CausalConv2d(1, 6, 3, "A"), mean, CausalConv2d(6, 2, 1, "B")

    def forward(self, x, at=None, y=None):
        h = self.embed(x, at)
        return self.out(h + self.mean(torch.tanh(3 * h), at), at)


def add_by_index(self, x):
    """As the page's, but with an assignment, which a recording has to play too."""
    column = self.at.column
    self.sums[column + 1] = self.sums[column] + x
    return self.sums[column + 1] / self.counts[column]


@pytest.mark.parametrize(
    ("name", "replays"), [("RunningMean", False), ("RecordedMean", True), ("RecordedMeanByIndex", True)]
)
@pytest.mark.parametrize("ties_everywhere", [False, True])
def test_the_layers_of_the_page_are_right(tmp_path, name, replays, ties_everywhere, monkeypatch):
    write(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("running_mean", "recorded_mean"):
        monkeypatch.delitem(importlib.sys.modules, module, raising=False)
    module = importlib.import_module("recorded_mean")
    layer = getattr(module, name.removesuffix("ByIndex"))(6)
    if name.endswith("ByIndex"):
        monkeypatch.setattr(module.RecordedMeanCache, "add", add_by_index)
    played = []
    play = draw.Recording.play
    monkeypatch.setattr(draw.Recording, "play", lambda self: played.append(self) or play(self))
    if ties_everywhere:
        monkeypatch.setattr(ties, "TIE", 0.3)
        other = lambda self, images, row, column, channel, noise: noise.argmin(1).to(torch.uint8)  # noqa: E731
        monkeypatch.setattr(ties.TieBreaker, "levels", other)
    torch.manual_seed(0)
    density = spread_out(Density(MeanNetwork(layer), Categorical(levels=2), (1, 6, 5)))
    cached, naive = (density.sample(40, seed=1, method=method) for method in ("cached", "naive"))
    assert torch.equal(cached, naive)
    assert len(cached.unique(dim=0)) > 10
    assert bool(played) == replays
    known = torch.zeros(6, 5, dtype=torch.bool)
    known[:3] = True
    assert torch.equal(*(density.complete(cached, known, 5, method=method) for method in ("cached", "naive")))
