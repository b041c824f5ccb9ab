"""conf/data/codes.yaml: the codes of a trained autoencoder as a data set, and what is known of them from its config."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, model_validator
from yaml import YAMLError  # type: ignore[import-untyped]

from pixelcnn_lit.config.data import DATA_SETS, DataConfig
from pixelcnn_lit.config.places import RECORD, best_of
from pixelcnn_lit.config.types import Model, NCodes, Place, at_home

CODE_LEVELS = {1: ("top",), 2: ("top", "bottom"), 3: ("top", "middle", "bottom")}
"""The names of the levels of codes, by their number. The top has the lowest resolution."""
STAGE = "autoencoder"
"""The folder of the autoencoder in the folder of the command ``vqvae``."""


def code_shapes(image_shape: Sequence[int], downsampling: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The height and width of each map of codes, the top one first.

    >>> from pixelcnn_lit.config.codes import code_shapes
    >>> code_shapes((3, 256, 256), [4, 2])
    ((32, 32), (64, 64))
    """
    _, height, width = image_shape
    factors = accumulate(downsampling, mul)
    return tuple((height // factor, width // factor) for factor in factors)[::-1]


def digest(path: str | Path) -> str:
    """The first half of the SHA-256 of a file, by which a checkpoint is told from others."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:32]


class CodesData(DataConfig):
    """conf/data/codes.yaml: a map of codes for each image that the autoencoder was trained on."""

    levels: NCodes
    ckpt: Model
    level: Literal["top", "middle", "bottom"]
    factor: Annotated[int, Field(ge=2, le=32)] | None
    embedding: Annotated[int, Field(ge=1, le=1024)]
    digest: str | None
    dir: Place

    holds_levels = True

    @property
    def input_features(self) -> int | None:
        return self.embedding

    @model_validator(mode="before")
    @classmethod
    def _as_the_autoencoder(cls, values: Any) -> Any:
        """Take what is not given from the config of the autoencoder's run. Raise ValueError if there is none."""
        if not isinstance(values, dict) or not isinstance(values.get("ckpt"), str):
            return values
        if None not in (values.get(key) for key in ("levels", "image_shape", "n_classes")):
            return values
        known = described(values["ckpt"], values.get("level"))
        return {**values, **{key: value for key, value in known.items() if values.get(key) is None}}


def described(ckpt: str, level: Any) -> dict[str, Any]:
    """What the run of an autoencoder determines of a level's codes. Raise ValueError if there is no such run."""
    path = Path(at_home(ckpt))
    places = (path / STAGE, path, path.parent.parent)
    record = next((place / RECORD for place in places if (place / RECORD).is_file()), None)
    if record is None:
        raise ValueError(f"data.ckpt={ckpt}: no run of vqvae, which has the file {RECORD}")
    try:
        plain: Any = OmegaConf.to_container(OmegaConf.load(record))
        factors, images = plain["autoencoder"]["downsampling"], plain["data"]
        known = of_level(level, factors, plain["autoencoder"]["n_codes"], images["image_shape"], images["n_classes"])
        best = path if path.is_file() else best_of(record.parents[1])
        return {**known, "digest": digest(best) if best.is_file() else None}
    except (OmegaConfBaseException, YAMLError, OSError, KeyError, TypeError) as error:
        raise ValueError(f"data.ckpt={ckpt}: {record} is of no autoencoder") from error


def of_level(
    level: Any, downsampling: Sequence[int], n_codes: int, image_shape: Sequence[int], n_classes: int
) -> dict[str, Any]:
    """The keys of ``data=codes`` for a level: how many codes, the shape of the map, the factor to the level above."""
    names = CODE_LEVELS[len(downsampling)]
    if level not in names:
        raise ValueError(f"data.level={level}: the autoencoder has {', '.join(names)}")
    number = names.index(level)
    # Between two levels lies the factor of the upper one; downsampling begins at the images.
    factor = None if number == 0 else downsampling[len(downsampling) - number]
    shape = (1, *code_shapes(image_shape, downsampling)[number])
    return {"levels": n_codes, "image_shape": shape, "n_classes": n_classes, "factor": factor}


DATA_SETS.add("codes", "pixelcnn_lit.data.codes:load", CodesData)
