"""The networks. Each maps an image in [0, 1] to the likelihood's parameters, and knows nothing of training or files."""

from pixelcnn_lit.models.gated_pixelcnn import GatedPixelCNN
from pixelcnn_lit.models.pixelcnn import PixelCNN
from pixelcnn_lit.models.pixelcnn_pp import PixelCNNpp

__all__ = ["GatedPixelCNN", "PixelCNN", "PixelCNNpp"]
