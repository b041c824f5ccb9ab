"""``--help`` of each command teaches: its examples are commands that are right."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from helpers.process import forked, succeeds
from pixelcnn_lit import config, report, start
from pixelcnn_lit.config import check, conf_dir
from pixelcnn_lit.config.help import help_text, keys_of

ROOT = Path(__file__).parents[2]
COMMANDS = [*sorted(path.stem for path in conf_dir().glob("*.yaml")), "report"]
EXAMPLE = re.compile(r"^ +python -m pixelcnn_lit\.(\w+)(.*?)(?:  +.*)?$", re.MULTILINE)


def examples(command):
    """The examples of a command's help, as (command, words)."""
    text = report.EXAMPLES if command == "report" else (conf_dir() / f"{command}.yaml").read_text()
    return [(name, shlex.split(words)) for name, words in EXAMPLE.findall(text)]


def section_of(command, monkeypatch):
    """The section that checks the keys of a command."""
    asked = []
    monkeypatch.setattr(start, "run", lambda name, section, target: asked.append(section))
    monkeypatch.setattr(sys, "argv", [command])
    module = __import__(f"pixelcnn_lit.{command}", fromlist=["main"])
    module.main()
    return getattr(config, asked[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_a_help_are_commands_that_are_right(command, monkeypatch):
    found = examples(command)
    own = [name for name, _ in found if name == command]
    assert len(found if command == "pretrained" else own) >= 3  # it has no key, and shows what its models are for
    assert own
    for name, words in found:
        if name == "report":
            assert len(words) == 1
            continue
        given = [re.sub("^model=(.*)", r"models=[\1]", word) if name == "receptive_field" else word for word in words]
        parsed = OverridesParser.create().parse_overrides([word for word in given if word != "-m"])
        assert any(override.is_sweep_override() for override in parsed) == ("-m" in given)
        single = [override.input_line for override in parsed if not override.is_sweep_override()]
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            check(OmegaConf.to_container(hydra.compose(name, single)), section_of(name, monkeypatch))


def test_some_examples_run(tmp_path):
    for command in ("pretrained", "export"):
        name, words = examples(command)[0]
        succeeds(forked(name, *words, cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_each_command_is_a_program_too():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {f"pixelcnn-{name.replace('_', '-')}": f"pixelcnn_lit.{name}:main" for name in COMMANDS}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pixelcnn-train model=pixelcnn_", "model=pixelcnn_pp"),
        ("pixelcnn-train model=pixelcnn_pp model.res", "model.resolutions="),
        ("pixelcnn-train optimizer.schedule=co", "optimizer.schedule=constant optimizer.schedule=cosine"),
    ],
)
def test_a_shell_is_told_what_a_word_may_become(line, words, tmp_path):
    told = succeeds(forked("train", "-sc", "query=bash", cwd=tmp_path, COMP_LINE=line))
    assert told.split() == words.split()


def test_a_help_that_nobody_reads_ends_without_a_word(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as unread:
        shown = [sys.executable, "-m", "pixelcnn_lit.pretrained", "--help"]
        ended = subprocess.run(shown, cwd=tmp_path, stdout=unread, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("command", sorted(path.stem for path in conf_dir().glob("*.yaml")))
def test_a_help_says_of_each_of_its_own_keys_what_it_means(command):
    shown = dict(keys_of(help_text(command, [])))
    own = [place for place, _ in keys_of((conf_dir() / f"{command}.yaml").read_text())]
    assert [place for place in own if place and place[0] not in ("hydra", "defaults") and not shown[place]] == []


def test_a_help_shows_the_chosen_options_as_they_say_of_themselves():
    shown = help_text("train", ["data=digits", "model=pixelcnn_pp"])
    assert "  source: embedded # torchvision: files" in shown  # as mnist, on which digits stands, says
    assert "  levels: 256 # intensity levels, 2 to 256\n" in shown
    assert "  n_classes: null # ${data.n_classes}: learn p(image | class)\n" in shown
    assert "\n    n: 32 #" in shown  # YAML would write 'n'


@pytest.mark.parametrize(
    ("command", "own", "others"),
    [
        (
            "train",
            ["model: gated_pixelcnn, ", "fast_mnist", "mnist_4"],
            ["autoencoder:", "vqvae2_quick", "from_checkp"],
        ),
        (
            "vqvae",
            ["autoencoder: vqvae, ", "vqvae2_quick"],
            ["model:", "likelihood:", "fast_mnist", "mnist_4", "sweep:"],
        ),
    ],
)
def test_a_help_lists_the_groups_and_experiments_of_its_own_command(command, own, others):
    groups = help_text(command, []).partition("group=option:")[2].partition("name: null")[0]
    assert all(text in groups for text in own)
    assert not any(text in groups for text in others)
    assert not re.search(r"[$]|(?<=[ ,])_", groups)
