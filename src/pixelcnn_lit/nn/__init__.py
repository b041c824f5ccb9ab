"""The layers of causal networks, and their interface. The README in this folder says how to write a network."""

from pixelcnn_lit.nn.causal import CausalConv2d, gate
from pixelcnn_lit.nn.contract import CausalLayer, CausalNetwork, LayerCache
from pixelcnn_lit.nn.cursor import Cursor, Window
from pixelcnn_lit.nn.multiscale import Grow, HalvedPixels, HalvedRows
from pixelcnn_lit.nn.vertical import RowsAbove, VerticalConv2d

__all__ = [
    "CausalConv2d",
    "CausalLayer",
    "CausalNetwork",
    "Cursor",
    "Grow",
    "HalvedPixels",
    "HalvedRows",
    "LayerCache",
    "RowsAbove",
    "VerticalConv2d",
    "Window",
    "gate",
]
