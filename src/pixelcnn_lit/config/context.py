"""conf/context: what every pixel may see of an image that is drawn, made from the image itself in training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pixelcnn_lit.config.codes import CodesData
from pixelcnn_lit.config.data import DataConfig
from pixelcnn_lit.config.parts import Parts
from pixelcnn_lit.config.types import Section

MOST_CODES = 4096
"""Of a context: more channels than that need too much memory."""


class ContextConfig(Section):
    """The keys that all contexts share."""

    name: str

    def check_beside(self, data: DataConfig) -> None:
        """Raise ValueError, which names the key, if the images have no such context."""


class NoContext(ContextConfig):
    """conf/context/none.yaml."""


class EncodedContext(ContextConfig):
    """A context, and the sizes of its encoder."""

    features: Annotated[int, Field(ge=1, le=1024)]
    n_res: Annotated[int, Field(ge=0, le=64)]

    def shape(self, data: DataConfig) -> tuple[int, int]:
        """The channels of the context, and by which factor it is smaller than the image."""
        raise NotImplementedError


class GreyContext(EncodedContext):
    """conf/context/grey.yaml: colourisation."""

    def shape(self, data: DataConfig) -> tuple[int, int]:
        return 1, 1

    def check_beside(self, data: DataConfig) -> None:
        if data.image_shape[0] != 3:
            raise ValueError(f"context=grey: needs images of 3 channels; data.image_shape is {list(data.image_shape)}")


class SmallContext(EncodedContext):
    """conf/context/small.yaml: super-resolution."""

    factor: Annotated[int, Field(ge=2, le=64)]

    def shape(self, data: DataConfig) -> tuple[int, int]:
        return data.image_shape[0], self.factor

    def check_beside(self, data: DataConfig) -> None:
        if any(side % self.factor for side in data.image_shape[1:]):
            raise ValueError(
                f"context.factor={self.factor}: must divide both sides of data.image_shape={list(data.image_shape)}"
            )


class CodesContext(EncodedContext):
    """conf/context/codes.yaml: the codes of the level above."""

    def shape(self, data: DataConfig) -> tuple[int, int]:
        assert isinstance(data, CodesData)
        assert data.factor is not None
        return data.levels, data.factor

    def check_beside(self, data: DataConfig) -> None:
        if not isinstance(data, CodesData) or data.factor is None:
            raise ValueError("context=codes: needs data=codes of a level below the top, such as data.level=bottom")
        if data.levels > MOST_CODES:
            raise ValueError(
                f"context=codes: has a channel for each code, of which there may be {MOST_CODES:,}; data.levels is "
                f"{data.levels:,}"
            )


CONTEXTS = Parts("context", ContextConfig)
CONTEXTS.add("none", "pixelcnn_lit.data.contexts:no_context", NoContext)
CONTEXTS.add("grey", "pixelcnn_lit.data.contexts:grey", GreyContext)
CONTEXTS.add("small", "pixelcnn_lit.data.contexts:small", SmallContext)
CONTEXTS.add("codes", "pixelcnn_lit.data.contexts:codes", CodesContext)
