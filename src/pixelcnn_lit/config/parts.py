"""Registries of the parts that a config chooses by name, each with its section of the config.

The class or function of a part is given as an object or as a text "module:name". The text is imported when the part is
built, so checking a config and ``--help`` do not import PyTorch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, create_model

from pixelcnn_lit.config.types import Section

S = TypeVar("S", bound=Section)


def imported(target: str) -> Any:
    """Import the object "module:name". Raise ImportError or AttributeError if it does not exist."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Part(Generic[S]):
    """The section of the config for a name, and the class or function that is built from it."""

    section: type[S]
    target: str | Callable[..., Any]

    def load(self) -> Any:
        """The class or function; a text is imported now."""
        return imported(self.target) if isinstance(self.target, str) else self.target


class Parts(Generic[S]):
    """The parts of one kind, such as all networks, by name."""

    def __init__(self, kind: str, base: type[S]) -> None:
        """``kind`` is the group of conf/ that chooses a part, ``base`` the base class of all sections."""
        self.kind, self.base = kind, base
        self._parts: dict[str, Part[S]] = {}
        _ALL[kind] = self

    def add(self, name: str, target: str | Callable[..., Any], section: type[S]) -> None:
        """Register a part. The key ``name`` of its section then allows only this name.

        Raises TypeError for a section of another kind, ValueError if the name is taken.
        """
        if not (isinstance(section, type) and issubclass(section, self.base)):
            raise TypeError(f"{self.kind}={name}: its section must be a subclass of {self.base.__name__}")
        before = self._parts.get(name)
        if before is not None and not (before.target == target and issubclass(before.section, section)):
            raise ValueError(f"{self.kind}={name}: the name is taken")
        fields: dict[str, Any] = {"name": (Literal[name], ...)}
        named = create_model(section.__name__, __base__=section, __module__=section.__module__, **fields)
        reduce_: Any = lambda chosen: (restored, (self.kind, chosen.model_dump()))  # noqa: E731
        named.__reduce__ = reduce_  # type: ignore[method-assign]
        self._parts[name] = Part(named, target)

    def __getitem__(self, name: str) -> Part[S]:
        return self._parts[name]

    def names(self) -> Iterable[str]:
        """The names, in the order of registration."""
        return tuple(self._parts)

    def union(self) -> Any:
        """The union of all sections, with the key ``name`` as the discriminator."""
        return Annotated[reduce(or_, (part.section for part in self._parts.values())), Field(discriminator="name")]


_ALL: dict[str, Parts[Any]] = {}


def restored(kind: str, values: dict[str, Any]) -> Section:
    """Make the section of a part again after pickling, from what is registered under its name."""
    section: Section = _ALL[kind][values["name"]].section.model_validate(values)
    return section
