"""The values behind ``key=``: those that a shell completes, where a key has a list of them, and how one is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pixelcnn_lit.config.types import Section

PLAIN = r"[\w./+:-]+"
"""Texts that need no quotes in an override."""


def completions(section: type[Section], word: str) -> list[str]:
    """What the last word of a command line may become, an override whose key has a list of values; else nothing.

    >>> from pixelcnn_lit.config import SampleConfig
    >>> completions(SampleConfig, "method=c")
    ['method=cached']
    """
    key, equals, begun = word.partition("=")
    before, comma, last = begun.rpartition(",")  # of a sweep, a,b,...
    found = listed_values(section, key.lstrip("+")) if equals else []
    return [f"{key}={before}{comma}{value}" for value in found if value.startswith(last)]


def listed_values(section: type[Section], key: str) -> list[str]:
    """The values of a key as they are typed; of a type that allows others too, those that have a name.

    Of parts that are chosen by name, such as networks, the values are those of all of them.
    """
    kinds: list[Any] = [section.complete()]
    for word in key.split("."):
        fields = [kind.model_fields for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
        kinds = [kind for each in fields if word in each for kind in _members(each[word].annotation)]
    named = dict.fromkeys(value for kind in kinds for value in _named(kind))
    return [*named, *(["null"] if named and NoneType in kinds else [])]


def typed(value: str | bool | float | None) -> str:
    """A value as it is typed behind ``key=``: a text that Hydra would read otherwise is in quotes.

    >>> typed("a/b.c"), typed("it's"), typed(True), typed(None)
    ('a/b.c', "'it\\\\'s'", 'true', 'null')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value)
    return text if re.fullmatch(PLAIN, text, re.ASCII) else "'" + text.replace("'", "\\'") + "'"


def in_words(value: Any) -> str:
    """A value as a config file has it: None is null, and a tuple a list.

    >>> in_words(None), in_words(True), in_words((3, 32, 32)), in_words(0.1)
    ('null', 'true', '[3, 32, 32]', '0.1')
    """
    if value is None or isinstance(value, bool):
        return typed(value)
    return str(list(value) if isinstance(value, tuple) else value)


def _members(kind: Any) -> Iterator[Any]:
    """The types of a union, or the type itself."""
    if get_origin(kind) is Annotated:
        yield from _members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from _members(member)
    else:
        yield kind


def _named(kind: Any) -> Iterable[str]:
    values = get_args(kind) if get_origin(kind) is Literal else (True, False) if kind is bool else ()
    return (str(value).lower() if isinstance(value, bool) else str(value) for value in values)
