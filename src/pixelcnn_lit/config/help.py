"""The help of a command: its config, each key beside what the files of conf/ say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn_lit.config.composition import conf_dir

KEY = re.compile(
    r"^(?P<indent> *)(?P<quote>['\"]?)(?P<key>[\w.]+)(?P=quote):(?= |$)(?P<value>.*?)(?: # (?P<comment>.*))?$"
)
"""A line of YAML with a key, its value and what is written beside it."""

EXPERIMENT = "experiment"

Keys = tuple[str, ...]
"""The keys that lead to a value, from the outermost."""


def help_text(command: str, overrides: Sequence[str]) -> str:
    """What ``python -m pixelcnn_lit.<command> OVERRIDES --help`` shows.

    >>> from pixelcnn_lit.config.help import help_text
    >>> "seed: 0 # image i depends only on the seed and i, not on n and batch_size" in help_text("sample", [])
    True
    """
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = hydra.compose(command, overrides=list(overrides), return_hydra_config=True)
        told, choices = composed.hydra.help, composed.hydra.runtime.choices
        with open_dict(composed):
            del composed["hydra"]
        config = commented(OmegaConf.to_yaml(composed), comments_of(command, choices))
        running = GlobalHydra.instance().hydra
        assert running is not None
        # Hydra would put in a config without comments and the groups of all commands. "$$" stands for a "$" that stays.
        told.template = re.sub(r"\$(?=CONFIG|APP_CONFIG_GROUPS)", "$$", told.template)
        text: str = running.get_help(told, composed, get_args_parser(), resolve=False)
        groups = options_of(running.config_loader, choices, set(map(str, composed)))
        return text.replace("$APP_CONFIG_GROUPS", groups).replace("$CONFIG", config)


def options_of(loader: ConfigLoader, choices: DictConfig, keys: Set[str]) -> str:
    """A line for each group that a command with these ``choices`` and ``keys`` has, with its options."""
    lines = []
    for group in sorted(str(group) for group in choices if not str(group).startswith("hydra/")):
        options = [option for option in loader.get_group_options(group) if not option.startswith("_")]
        if group == EXPERIMENT:
            options = [option for option in options if _changes(option) <= set(map(str, choices)) | keys]
        lines.append(f"{group}: {', '.join(options)}\n")
    return "".join(lines)


def _changes(experiment: str) -> set[str]:
    """The groups and keys that an experiment of conf/ sets, and those that it stands on; none of one from outside."""
    file = conf_dir() / EXPERIMENT / f"{experiment}.yaml"
    if not file.exists():
        return set()
    content = OmegaConf.load(file)
    assert isinstance(content, DictConfig)
    found = {str(key) for key in content} - {"defaults"}
    for default in content.get("defaults", []):
        if isinstance(default, str):
            found |= _changes(default) if default != "_self_" else set()
        else:
            found |= {str(group).removeprefix("override /") for group in default}
    return found


def commented(config: str, comments: Mapping[Keys, str]) -> str:
    """A config in YAML with a comment beside each key that has one, and keys as they are typed, without quotes.

    >>> commented("data:\\n  levels: 4\\n", {("data", "levels"): "2 to 256"})
    'data:\\n  levels: 4 # 2 to 256\\n'
    """
    lines = [KEY.sub(r"\g<indent>\g<key>:\g<value>", line) for line in config.splitlines()]
    told = [comments.get(path) for path, _ in keys_of(config)]
    return "".join(
        f"{line} # {comment}\n" if comment else f"{line}\n" for line, comment in zip(lines, told, strict=True)
    )


def comments_of(command: str, choices: DictConfig) -> dict[Keys, str]:
    """The comments beside the keys of conf/<command>.yaml, and of the option chosen in each group."""
    found = _comments(conf_dir() / f"{command}.yaml", ())
    for group, option in choices.items():
        if option is not None and not str(group).startswith("hydra/"):
            found |= _comments(conf_dir() / str(group) / f"{option}.yaml", tuple(str(group).split("/")))
    return found


def keys_of(text: str) -> Iterator[tuple[Keys, str | None]]:
    """For each line of a YAML text, the path of its key, () if it has none, and its comment."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = KEY.match(line)
        if match is None:
            yield (), None
            continue
        indent = len(match["indent"])
        above = [(depth, key) for depth, key in above if depth < indent] + [(indent, match["key"])]
        yield tuple(key for _, key in above), match["comment"]


def _comments(file: Path, package: Keys) -> dict[Keys, str]:
    """Those of a file of conf/, over those of the files that its defaults name, as ``base`` or ``a/b@package``."""
    text = file.read_text()
    content = OmegaConf.create(text)
    assert isinstance(content, DictConfig)
    found: dict[Keys, str] = {}
    for default in content.get("defaults", []):
        if isinstance(default, str) and default != "_self_":
            name, _, place = default.partition("@")
            found |= _comments(file.parent / f"{name}.yaml", tuple(place.split(".")) if place else package)
    return found | {(*package, *path): comment for path, comment in keys_of(text) if path and comment}
