"""conf/model: the networks."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from pixelcnn_lit.config.data import DataConfig
from pixelcnn_lit.config.likelihood import LikelihoodConfig
from pixelcnn_lit.config.parts import Parts
from pixelcnn_lit.config.types import KernelSize, Section, odd

Blocks = Annotated[int, Field(ge=0, le=256)]
Hidden = Annotated[int, Field(ge=1, le=2048)]
FirstKernelSize = Annotated[int, Field(ge=3, le=63), AfterValidator(odd)]


class NetworkConfig(Section):
    """The keys that all networks share.

    ``n_classes`` is None, or the number of classes for p(image | class). ``orders`` is the number of scans that the
    density is a mixture of; with several, the network knows the scan as it knows a class.
    """

    of_density: ClassVar[frozenset[str]] = frozenset({"name", "orders"})
    """The keys that are not the network's, but of the density."""

    name: str
    n_classes: Annotated[int, Field(ge=1, le=1000)] | None
    orders: Literal[1, 2, 4, 8]

    def check_beside(self, data: DataConfig, likelihood: LikelihoodConfig) -> None:
        """Raise ValueError, which names the key, if the network cannot be used with this data or likelihood."""


class PixelCNNConfig(NetworkConfig):
    """conf/model/pixelcnn.yaml."""

    n_res: Blocks
    hidden: Hidden
    kernel_size: KernelSize
    first_kernel_size: FirstKernelSize


class GatedPixelCNNConfig(NetworkConfig):
    """conf/model/gated_pixelcnn.yaml."""

    n_res: Blocks
    hidden: Hidden
    kernel_size: KernelSize
    first_kernel_size: FirstKernelSize
    dilations: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=256)]


class PixelCNNppConfig(NetworkConfig):
    """conf/model/pixelcnn_pp.yaml."""

    n_res: Blocks
    hidden: Hidden
    resolutions: Annotated[int, Field(ge=1, le=8)]
    dropout: Annotated[float, Field(ge=0, lt=1)]

    def check_beside(self, data: DataConfig, likelihood: LikelihoodConfig) -> None:
        if data.image_shape[0] > 1 and likelihood.name == "categorical":
            raise ValueError(
                "likelihood=categorical: model=pixelcnn_pp does not tell the channels of a pixel apart; "
                "images in colour need likelihood=logistic_mixture"
            )


class PixelSNAILConfig(NetworkConfig):
    """conf/model/pixelsnail.yaml."""

    n_blocks: Annotated[int, Field(ge=1, le=256)]
    n_res: Blocks
    hidden: Hidden
    first_kernel_size: FirstKernelSize
    heads: Annotated[int, Field(ge=1, le=64)]
    key_size: Annotated[int, Field(ge=1, le=1024)]
    value_size: Annotated[int, Field(ge=1, le=1024)]
    dropout: Annotated[float, Field(ge=0, lt=1)]


class OrderedNetworkConfig(NetworkConfig):
    """The keys of the networks that take the order of the pixels."""

    of_density = NetworkConfig.of_density | {"holes"}

    holes: Annotated[float, Field(ge=0, le=1)]


class LMConvConfig(OrderedNetworkConfig):
    """conf/model/lmconv.yaml."""

    n_res: Blocks
    hidden: Hidden
    kernel_size: KernelSize
    first_kernel_size: FirstKernelSize


NETWORKS = Parts("model", NetworkConfig)
NETWORKS.add("pixelcnn", "pixelcnn_lit.models.pixelcnn:PixelCNN", PixelCNNConfig)
NETWORKS.add("gated_pixelcnn", "pixelcnn_lit.models.gated_pixelcnn:GatedPixelCNN", GatedPixelCNNConfig)
NETWORKS.add("pixelcnn_pp", "pixelcnn_lit.models.pixelcnn_pp:PixelCNNpp", PixelCNNppConfig)
NETWORKS.add("pixelsnail", "pixelcnn_lit.models.pixelsnail:PixelSNAIL", PixelSNAILConfig)
NETWORKS.add("lmconv", "pixelcnn_lit.models.lmconv:LMConv", LMConvConfig)
