"""Small models and data sets for the tests."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch

from pixelcnn_lit.density import Density
from pixelcnn_lit.likelihood import Categorical
from pixelcnn_lit.models import PixelCNN


def tiny_density(
    levels: int = 2,
    channels: int = 1,
    n_res: int = 1,
    hidden: int = 4,
    size: tuple[int, int] = (3, 3),
    seed: int = 0,
    **kernels: int,
) -> Density:
    """A PixelCNN small enough to enumerate, its weights spread out so that its conditionals differ."""
    torch.manual_seed(seed)
    density = Density(PixelCNN(channels, levels, n_res, hidden, **kernels), Categorical(levels), (channels, *size))
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.mul_(2)
    return density.eval()


def write_idx(path: Path, array: np.ndarray) -> None:
    """An IDX file of unsigned bytes, as MNIST's are; gzipped where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(folder: Path, train: int = 48, test: int = 20, name: str = "MNIST", suffix: str = "") -> Path:
    """A small data set of blobs in torchvision's layout."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        for image in images:
            top, left = rng.integers(4, 14, size=2)
            image[top : top + 8, left : left + 8] = rng.integers(100, 256, size=(8, 8))
        raw = folder / name / "raw"
        write_idx(raw / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte{suffix}", rng.integers(0, 10, size=count))
    return folder
