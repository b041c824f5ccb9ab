"""The types of config values, and the base class of all sections."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


def inside(name: str) -> str:
    """Check the name of a run: a relative path below outputs/. Raise ValueError if it leaves outputs/."""
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise ValueError("must name a folder below outputs/")
    return name


def at_home(path: str) -> str:
    """A path with ``~`` or ``~user`` at its beginning replaced by the home folder; unchanged if there is no such user.

    >>> from pixelcnn_lit.config.types import at_home
    >>> at_home("~/digits").startswith("~"), at_home("data/~")
    (False, 'data/~')
    """
    return os.path.expanduser(path)  # noqa: PTH111 (a Path would make "a//b" another text)


PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""The folder of the models that come with the package."""


def located(path: str) -> str:
    """The path of a model: ``pretrained:NAME`` is one that comes with the package, all others as :func:`at_home`.

    Raises ValueError for a name that no such model has.

    >>> from pixelcnn_lit.config.types import located
    >>> located("pretrained:digits").endswith("digits.safetensors")
    True
    """
    kind, colon, name = path.partition(":")
    if kind != "pretrained" or not colon:
        return at_home(path)
    names = sorted(file.stem for file in PRETRAINED.glob("*.safetensors"))
    if name not in names:
        raise ValueError(f"must be one of pretrained:{', pretrained:'.join(names)}")
    return str(PRETRAINED / f"{name}.safetensors")


def named(path: str | Path) -> str:
    """The path of a model in words: the opposite of :func:`located`.

    >>> from pixelcnn_lit.config.types import located, named
    >>> named(located("pretrained:digits"))
    'pretrained:digits'
    """
    path = Path(path)
    return f"pretrained:{path.stem}" if path.parent == PRETRAINED else str(path)


Levels = Annotated[int, Field(ge=2, le=256)]
NCodes = Annotated[int, Field(ge=2, le=65536)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Device = Literal["auto", "cpu", "cuda", "mps"]
KernelSize = Annotated[int, Field(ge=1, le=63), AfterValidator(odd)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=4096)]
Home = AfterValidator(at_home)
Place = Annotated[str, Field(min_length=1), Home]
"""The path of a file or a folder, which may begin with ~."""
Model = Annotated[str, Field(min_length=1), AfterValidator(located)]
"""The path of a model that is read, or ``pretrained:NAME``."""
Name = Annotated[str, Field(min_length=1)]
"""A text that is not empty and no path: a ~ in it is a ~."""
ImageShape = tuple[Annotated[int, Field(ge=1, le=4)], Side, Side]
Limit = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)]
"""A number of batches (an integer), or a fraction of all batches (a float)."""
PositiveLimit = Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0, le=1)]
"""The same where there must be some."""
Plugins = Annotated[
    list[Name],
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
]
"""Modules that register networks, data sets or likelihoods."""


class Section(BaseModel):
    """A group of keys. Unknown keys and values of a wrong type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @classmethod
    def complete(cls) -> type[Self]:
        """The section with all parts that are registered now; by default, the section itself."""
        return cls


Occlusion = Literal["bottom", "top", "left", "right", "centre", "random"]
"""A part of an image to hide: a half; a rectangle of half the sides in its middle; a random part."""
