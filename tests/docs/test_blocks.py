"""The blocks of code in README and docs are run: those of a file in their order, in one folder, as a reader would.

A comment before a block, which a reader does not see, says how it is run:

* ``<!-- shrink: a=1 b=2 -->``: train and vqvae get small overrides, where they don't say otherwise, and these,
  whatever they say; receptive_field gets these.
* ``<!-- soak: why -->``: by make soak alone, as processes.
* ``<!-- not run: why -->``: not at all; its make targets, settings and commands are there all the same.
* ``<!-- map -->``: it lists files, which are there.

Text and settings in other languages than Python and the shell are looked at by nobody.
"""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixelcnn_lit
from helpers.builders import write_mnist
from helpers.process import environment
from pixelcnn_lit.config.data import DATA_SETS
from pixelcnn_lit.config.likelihood import LIKELIHOODS
from pixelcnn_lit.config.model import NETWORKS
from pixelcnn_lit.data import mnist
from pixelcnn_lit.data.splits import Split
from pixelcnn_lit.storage.run_folder import folder_name
from pixelcnn_lit.training import run, stages

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").rglob("*.md"))
COMMANDS = {
    *("train", "evaluate", "sample", "score", "explain", "compress", "decompress"),
    *("export", "report", "receptive_field", "pretrained", "vqvae", "demo"),
}
SHELL, PYTHON = {"", "sh", "bash"}, {"python", "py"}
HOW = ("shrink", "soak", "not run", "map")
SMALL = [
    "model.n_res=1",
    "model.hidden=4",
    "data.batch_size=2",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.val_check_interval=null",
    "callbacks.pictures.every_n_epochs=0",
    "logger=none",
]


PRIORS = ",".join(f'"{option}"' for option in SMALL[2:])
SMALL_VQVAE = [
    *SMALL[2:],
    "autoencoder.hidden=4",
    "autoencoder.n_codes=8",
    f'priors.top=["model=pixelsnail","model.n_blocks=1","model.n_res=1","model.hidden=4",{PRIORS}]',
    f'priors.bottom=["model=gated_pixelcnn","model.n_res=1","model.hidden=4",{PRIORS}]',
]


@dataclass
class Block:
    """A block of code on a page, and what the comments before it say."""

    page: Path
    line: int
    language: str
    code: str
    how: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def lines(self) -> list[list[str]]:
        """The words of each command, without comments; a backslash joins lines."""
        joined = self.code.replace("\\\n", " ").splitlines()
        return [words for line in joined if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page."""
    how: dict[str, str] = {}
    fence, begin, language, code = "", 0, "", []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        comment = re.fullmatch(r"<!-- (.*?)(?:: (.*))? -->", line)
        if fence and line.strip() == fence:
            yield Block(page, begin, language, "\n".join(code) + "\n", how)
            fence, how = "", {}
        elif fence:
            code.append(line)
        elif opening := re.fullmatch(r"\s*(```+)(\w*).*", line):
            fence, language, begin, code = opening[1], opening[2], number, []
        elif comment:
            how[comment[1]] = comment[2] or ""
        elif line.strip():
            how = {}


ALL = [block for page in PAGES for block in blocks(page)]


def words_of(command: list[str], block: Block) -> list[str] | None:
    """What follows ``python -m pixelcnn_lit.``, shrunken as the block says; None for another command."""
    if command[:2] != ["python", "-m"] or not command[2].startswith("pixelcnn_lit."):
        return None
    name, arguments = command[2].removeprefix("pixelcnn_lit."), command[3:]
    assert name in COMMANDS, f"{block}: no command {name}"
    small = {"train": SMALL, "vqvae": SMALL_VQVAE, "receptive_field": []}.get(name)
    if small is not None and "shrink" in block.how and not {"--help", "--cfg"} & set(arguments):
        arguments = behind(behind(small, arguments), shlex.split(block.how["shrink"]))
    return [name, *arguments]


def behind(before: list[str], after: list[str]) -> list[str]:
    """Arguments, of which the later ones win; options come before overrides."""
    keys = {word.partition("=")[0] for word in after}
    both = [word for word in before if word.partition("=")[0] not in keys] + after
    return sorted(both, key=lambda word: not word.startswith("-"))


def run_here(words: list[str], block: Block, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    """A command of the package, in this process."""
    monkeypatch.setattr(sys, "argv", [f"pixelcnn_lit.{words[0]}", *words[1:]])
    folder_name.cache_clear()  # as in a new process: two runs of one second have two folders
    status: object = 0
    try:
        importlib.import_module(f"pixelcnn_lit.{words[0]}").main()
    except SystemExit as end:
        status = end.code
    out, err = capfd.readouterr()
    assert status in (0, None), f"{block}: {' '.join(words)}: {err or out}"


def stock(folder: Path) -> None:
    """The files that the pages speak of: a few images of each data set."""
    rng = np.random.default_rng(0)
    write_mnist(folder / "data", suffix=".gz")
    write_mnist(folder / "data", name="FashionMNIST")
    records = rng.integers(0, 10, (6, 3073), dtype=np.uint8)
    (folder / "data" / "cifar-10-batches-bin").mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        (folder / "data" / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(np.repeat(records, 3, 0).tobytes())
    images, labels = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8), np.arange(24) % 10
    np.savez(folder / "FILE.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    (folder / "DIR").symlink_to("data")
    for number, image in enumerate(images):
        path = folder / "FOLDER" / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    Image.fromarray(np.repeat([[255], [0]], [14, 14], 0).repeat(28, 1).astype(np.uint8)).save(folder / "mask.png")
    Image.fromarray(images[0]).save(folder / "me.png")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a page's blocks are run, on few images; what they register is forgotten afterwards."""
    stock(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for parts in (NETWORKS, DATA_SETS, LIKELIHOODS):
        monkeypatch.setattr(parts, "_parts", dict(parts._parts))
    digits = np.random.default_rng(0).integers(0, 256, (200, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(mnist, "_read_embedded", lambda: Split(digits, np.arange(200) % 10))
    for module, name in ((run, "SAMPLES"), (run, "COMPLETIONS"), (stages, "SAMPLES")):
        monkeypatch.setattr(module, name, 2)
    return tmp_path


def pages_with(wanted) -> list[Path]:
    return [page for page in PAGES if any(block.page == page and wanted(block) for block in ALL)]


def is_run(block: Block) -> bool:
    return block.language in SHELL | PYTHON and not {"soak", "not run", "map"} & block.how.keys()


@pytest.mark.parametrize("page", pages_with(is_run), ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page, folder, monkeypatch, capfd):
    namespace: dict[str, object] = {}
    for block in blocks(page):
        if not is_run(block):
            continue
        if block.language in PYTHON:
            exec(compile(block.code, str(block), "exec"), namespace)
            continue
        for command in block.lines:
            words = words_of(command, block)
            assert words is not None, f"{block}: {' '.join(command)} is not run; say why: <!-- not run: ... -->"
            run_here(words, block, monkeypatch, capfd)


@pytest.mark.soak
@pytest.mark.parametrize("page", pages_with(lambda block: "soak" in block.how), ids=lambda page: page.stem)
def test_the_longer_blocks_of_a_page_run(page, folder):
    for block in blocks(page):
        for command in block.lines if "soak" in block.how else ():
            words = words_of(command, block)
            line = command if words is None else ["python", "-m", f"pixelcnn_lit.{words[0]}", *words[1:]]
            assert line[0] == "python", f"{block}: {' '.join(command)}"
            ended = subprocess.run(
                [sys.executable, *line[1:]], env=environment(), capture_output=True, text=True, timeout=600, check=False
            )
            assert ended.returncode == 0, f"{block}: {' '.join(line)}: {ended.stdout}{ended.stderr}"


@pytest.mark.parametrize("block", [block for block in ALL if block.how], ids=str)
def test_what_a_comment_says_of_a_block_is_understood(block):
    assert set(block.how) <= set(HOW)
    for key in {"soak", "not run"} & block.how.keys():
        assert block.how[key], f"{block}: {key}: why?"


def test_what_is_not_run_is_there_all_the_same():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in ALL:
        for command in block.lines if block.language in SHELL and "not run" in block.how else ():
            words_of(command, block)
            if command[0] == "make":
                assert {word for word in command[1:] if "=" not in word} <= targets, block


@pytest.mark.parametrize("block", [block for block in ALL if "map" in block.how], ids=str)
def test_what_a_map_names_is_there(block):
    above: list[tuple[int, Path]] = [(-1, ROOT)]
    for line in block.code.splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.split(r"  +", line.strip())[0].split()
        while above[-1][0] >= indent:
            above.pop()
        for name in names:
            assert (above[-1][1] / name).exists(), f"{block}: {name}"
        above.append((indent, above[-1][1] / names[0]))


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "examples" / "README.md", ROOT / "src" / "pixelcnn_lit" / "nn" / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_ends_in_this_version():
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == pixelcnn_lit.__version__
