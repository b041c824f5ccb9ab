"""The layers of causal networks, and their interface. The README in this folder says how to write a network."""

from pixelcnn_lit.nn.causal import CausalConv2d, gate
from pixelcnn_lit.nn.contract import CausalLayer, CausalNetwork, LayerCache, OrderedNetwork
from pixelcnn_lit.nn.cursor import Cursor, Window
from pixelcnn_lit.nn.local import LocallyMaskedConv2d
from pixelcnn_lit.nn.multiscale import Grow, HalvedPixels, HalvedRows
from pixelcnn_lit.nn.order import Order
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
    "LocallyMaskedConv2d",
    "Order",
    "OrderedNetwork",
    "RowsAbove",
    "VerticalConv2d",
    "Window",
    "gate",
]
