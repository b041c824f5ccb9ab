"""The networks: each maps an image in [0, 1] to the parameters of the likelihood, and does not depend on training."""

from pixelcnn_lit.models.gated_pixelcnn import GatedPixelCNN
from pixelcnn_lit.models.lmconv import LMConv
from pixelcnn_lit.models.pixelcnn import PixelCNN
from pixelcnn_lit.models.pixelcnn_pp import PixelCNNpp
from pixelcnn_lit.models.pixelsnail import PixelSNAIL

__all__ = ["GatedPixelCNN", "LMConv", "PixelCNN", "PixelCNNpp", "PixelSNAIL"]
