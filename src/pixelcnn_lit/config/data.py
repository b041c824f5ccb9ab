"""conf/data: the data set, and how its images become levels."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from pixelcnn_lit.config.parts import Parts
from pixelcnn_lit.config.types import ImageShape, Levels, Place, Section, Seed, Side
from pixelcnn_lit.config.values import in_words
from pixelcnn_lit.errors import UserError

Source = Literal["auto", "torchvision", "embedded"]


class DataConfig(Section):
    """The keys that all data sets share. Subclasses add the keys of one data set."""

    name: str
    levels: Levels
    binarize: Literal["dynamic"] | None
    image_shape: Annotated[ImageShape, Field(strict=False)]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    n_classes: Annotated[int, Field(ge=0, le=65536)]
    split_seed: Seed

    may_lack_classes: ClassVar[bool] = False
    """Whether the images may have fewer classes than ``n_classes``."""
    holds_levels: ClassVar[bool] = False
    """Whether the data set holds levels already, not intensities that become levels."""

    @property
    def input_features(self) -> int | None:
        """The length of the learned vector as which a network sees a level; None: it sees a number in order."""
        return None

    @classmethod
    def of_shape(cls, shape: tuple[int, int, int]) -> dict[str, Any]:
        """The keys, with their values, that make the images of ``shape``. Raises UserError if none do."""
        return {"image_shape": shape}

    @model_validator(mode="after")
    def _binary(self) -> Self:
        if self.binarize is not None and self.levels != 2:
            raise ValueError(f"data.binarize={self.binarize}: needs data.levels=2, not {self.levels}")
        return self


class Difference(NamedTuple):
    """A key of data that two models of images have different values of, in words."""

    key: str
    ours: str
    theirs: str


def apart(ours: DataConfig, theirs: DataConfig, *, of_any_size: bool = False) -> Difference | None:
    """The first key that makes the bits of two models numbers of different things; None if their bits compare.

    With ``of_any_size``, both may be asked of images of other heights and widths, and the channels alone count.
    """
    channels = ours.image_shape[0] != theirs.image_shape[0]
    differs = {
        "image_shape": channels if of_any_size else ours.image_shape != theirs.image_shape,
        "levels": ours.levels != theirs.levels,
        "binarize": ours.binarize != theirs.binarize,
    }
    key = next((key for key, differ in differs.items() if differ), None)
    return None if key is None else Difference(key, *(in_words(getattr(data, key)) for data in (ours, theirs)))


class MnistData(DataConfig):
    """conf/data/mnist.yaml, fashion_mnist.yaml and digits.yaml."""

    source: Source
    dir: Place


class Cifar10Data(DataConfig):
    """conf/data/cifar10.yaml."""

    dir: Place


class NpzData(DataConfig):
    """conf/data/npz.yaml: a file of numpy arrays."""

    path: Place

    may_lack_classes = True


class ImagesData(DataConfig):
    """conf/data/images.yaml: a folder of image files, resized to ``size`` x ``size`` and cached under ``dir``."""

    path: Place
    size: Side
    channels: Literal[1, 3]
    dir: Place

    @classmethod
    def of_shape(cls, shape: tuple[int, int, int]) -> dict[str, Any]:
        channels, height, width = shape
        if height != width or channels not in (1, 3):
            raise UserError(f"data=images: gives squares of 1 or 3 channels; the checkpoint's images are {list(shape)}")
        return {"image_shape": shape, "channels": channels, "size": height}


DATA_SETS = Parts("data", DataConfig)
DATA_SETS.add("mnist", "pixelcnn_lit.data.mnist:load", MnistData)
DATA_SETS.add("fashion_mnist", "pixelcnn_lit.data.mnist:load", MnistData)
DATA_SETS.add("cifar10", "pixelcnn_lit.data.cifar10:load", Cifar10Data)
DATA_SETS.add("npz", "pixelcnn_lit.data.npz:load", NpzData)
DATA_SETS.add("images", "pixelcnn_lit.data.folder:load", ImagesData)
