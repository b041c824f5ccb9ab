"""Whatever a command is told, it answers: it does it, or says in one line what is wrong."""

from __future__ import annotations

import logging
import signal
import sys
import time
import warnings

import pytest

from helpers.fuzz import WHOLE, cases, make_files
from pixelcnn_lit import compress, decompress, evaluate, explain, sample, score, train
from pixelcnn_lit.config import compose
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.storage.checkpoint import PREFIX, header, write
from pixelcnn_lit.training.run import Run

TINY = ["model.n_res=1", "model.hidden=4", "data.levels=2", "data.source=torchvision"]
COMMANDS = (train, evaluate, sample, score, explain, compress, decompress)
MORE = {
    "sample": ["n=1"],
    "score": ["data=mnist", "n=3"],
    "explain": ["n=1"],
    "compress": ["n=1"],
    "decompress": ["file=x.pxl"],
}
LOG = {"config.yaml", "hydra.yaml", "overrides.yaml", "train.log", ".lock", "stopped.json"}
SECONDS = 20
QUICK, ALL = 20, 300


def told(case, data):
    """A command line that is right but for the case."""
    if case.command == "train":
        right = [*TINY, f"data.dir={data}", "trainer=cpu", "hydra.run.dir=run", "overwrite=true", "logger=none"]
    else:
        right = ["ckpt=good.ckpt", *MORE.get(case.command, ())]
        right += [f"data.dir={data}"] * (case.command == "score")
    return [*(word for word in right if not case.key or word.split("=")[0] != case.key), *case.arguments]


@pytest.fixture
def arena(tmp_path, monkeypatch, mnist_dir):
    config = compose([*TINY, f"data.dir={mnist_dir}"])
    weights = {PREFIX + name: weight for name, weight in build_density(config).state_dict().items()}
    make_files(tmp_path)
    write(tmp_path / "good.ckpt", {"pixelcnn_lit": header(config), "state_dict": weights})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, "fit", lambda self: None)  # what is accepted is not trained
    monkeypatch.setattr(Run, "conclude", lambda self: None)
    return tmp_path


def ask(case, data, capfd, monkeypatch):
    """The exit status and the two outputs of a command that runs in this process."""
    main = {module.__name__.split(".")[1]: module.main for module in COMMANDS}[case.command]
    monkeypatch.setattr(sys, "argv", [f"pixelcnn_lit.{case.command}", *told(case, data)])

    def late(*_):
        raise AssertionError(f"no answer after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    start = time.monotonic()
    status = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            main()
    except SystemExit as end:
        status = end.code
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        logging.shutdown()
    out, err = capfd.readouterr()
    return status, out, err, time.monotonic() - start


def check(case, data, arena, capfd, monkeypatch):
    before = set(arena.rglob("*"))
    status, out, err, _ = ask(case, data, capfd, monkeypatch)
    assert "Traceback" not in out + err
    if status == 0:
        return False
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < 12_000
    assert case.key.split(".")[-1] in lines[0], lines[0]
    new = {path for path in arena.rglob("*") if path.is_file()} - before
    assert {path.name for path in new} <= LOG
    return True


def refused(chosen, data, arena, capfd, monkeypatch):
    wrong, count = [], 0
    for case in chosen:
        try:
            count += check(case, data, arena, capfd, monkeypatch)
        except Exception as error:
            wrong.append(f"{case.command} {' '.join(case.arguments)[:200]}: {type(error).__name__}: {str(error)[:500]}")
    assert not wrong, f"{len(wrong)} of {len(chosen)}:\n" + "\n".join(wrong)
    return count


def test_a_few_wrong_command_lines_of_every_kind(arena, mnist_dir, capfd, monkeypatch):
    assert refused(cases()[:QUICK], mnist_dir, arena, capfd, monkeypatch) > QUICK // 2


@pytest.mark.soak
def test_hundreds_of_wrong_command_lines(arena, mnist_dir, capfd, monkeypatch):
    chosen = cases()[:ALL] + [case for case in cases()[ALL:] if case.arguments[0] in WHOLE]
    count = refused(chosen, mnist_dir, arena, capfd, monkeypatch)
    with capfd.disabled():
        print(f"\n{len(chosen)} command lines: {count} refused in one line, {len(chosen) - count} accepted")
