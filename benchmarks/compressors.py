"""``python -m benchmarks compressors``: what lossless coders make of the first test images of a data set.

PNG (optimised), WebP and JPEG XL, each at its greatest effort, get the images one by one, and all on one sheet of up to
twenty columns; gzip, xz and zstd get the levels of all images, at 2 levels eight in a byte. Bits per dimension are all
bytes of the files, headers included. With --ckpt the model's file stands beside them; it is read again and compared.
"""

from __future__ import annotations

import gzip
import io
import lzma
import math
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks import output
from benchmarks.arguments import Parser, count
from pixelcnn_lit.analysis import compression
from pixelcnn_lit.analysis.codec import labels_of
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.config import compose
from pixelcnn_lit.config.types import located
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import pxl

COLUMNS = 20
LEFT_OUT = ("data.dir=", "data.path=")
"""Overrides that say where the images are, and not which."""


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=count, default=1000, help="so many of the test images")
    parser.add_argument("--ckpt", type=located, help="a model of these images: a checkpoint, or pretrained:NAME")
    parser.add_argument("--out", default="outputs/benchmarks/compressors.json")
    parser.add_argument("overrides", nargs="*", help="of the config: data=fashion_mnist data.levels=256")
    arguments = parser.parse_args(argv)
    config = compose(arguments.overrides)
    images = ImageDataModule(config.data, config.seed).split("test").images[: arguments.n]
    coder = None if arguments.ckpt is None else fitting(arguments.ckpt, images, config.data.levels)
    x = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))
    result: dict[str, Any] = {
        "config": [text for text in arguments.overrides if not text.startswith(LEFT_OUT)],
        "images": len(x),
        "levels": config.data.levels,
        "coders": {name: version(name) for name in ("pillow", "imagecodecs")},
        "bytes": measured(x, config.data.levels),
    }
    if coder is not None:
        result["model"] = of_model(coder, images)
        result["bytes"]["compress"] = result["model"]["bytes"]
    show(result, images.numel())
    output.save(arguments.out, result)


def show(result: dict[str, Any], values: int) -> None:
    """The coders from the shortest file to the longest, and what the model's likelihood says."""
    rows = [(name, f"{size:,}", 8 * size / values) for name, size in result["bytes"].items()]
    if "model" in result:
        rows.append(("what the model's likelihood says", "", result["model"]["bits_per_dim"]))
    shown = [(name, size, f"{bits:.4f}") for name, size, bits in sorted(rows, key=lambda row: row[2])]
    output.console().print(output.table(f"{result['images']:,} images", ["", "bytes", "bits/dim"], shown))


def fitting(ckpt: str, x: Tensor, levels: int) -> compression.Coder:
    """The model that codes the images. Raise UserError for one of other images."""
    coder = compression.opened(ckpt, torch.device("cpu"))
    if (coder.density.levels, coder.density.image_shape[0]) != (levels, x.shape[1]):
        raise UserError(f"--ckpt={ckpt}: of {coder.density.levels} levels and {coder.density.image_shape[0]} channels")
    return coder


def of_model(coder: compression.Coder, x: Tensor) -> dict[str, Any]:
    """The length of the file that ``compress`` writes, once ``decompress`` has given the images back.

    Raises UserError if they come back changed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, begin = Path(folder) / "images.pxl", time.process_time()
        with path.open("wb") as file:
            size, _, nats = compression.write_images(coder, file, x, block=500, batch_size=64)
        written = time.process_time()
        header, start = pxl.read_header(path)
        back = compression.read_images(coder, path, header, start, range(len(x)), batch_size=256)
        read = time.process_time()
    if not torch.equal(back, x):
        raise UserError(f"--ckpt={coder.path}: the images came back changed")
    return {
        "ckpt": Path(coder.path).name,
        "digest": coder.digest,
        "network": coder.trained.model.name,
        "parameters": sum(weight.numel() for weight in coder.density.parameters()),
        "bytes": size,
        "bits_per_dim": nats / math.log(2) / x.numel(),
        "labels": labels_of(coder.density),
        "processor_seconds_to_compress": round(written - begin, 1),
        "processor_seconds_to_decompress": round(read - written, 1),
    }


def measured(x: NDArray[np.uint8], levels: int) -> dict[str, int]:
    """The bytes that each coder needs for images of levels (N, H, W, C), C being 1 or 3."""
    columns = next(number for number in range(COLUMNS, 0, -1) if len(x) % number == 0)
    sheet = x.reshape(-1, columns, *x.shape[1:]).swapaxes(1, 2).reshape(-1, columns * x.shape[2], x.shape[3])
    raw = np.packbits(x).tobytes() if levels == 2 else x.tobytes()
    pictures, one = [picture(image, levels) for image in x], picture(sheet, levels)
    png, webp = {"format": "PNG", "optimize": True}, {"format": "WEBP", "lossless": True, "quality": 100, "method": 6}
    return {
        "PNG, each": sum(length(image, **png) for image in pictures),
        "PNG, a sheet": length(one, **png),
        "WebP, each": sum(length(image.convert("RGB"), **webp) for image in pictures),
        "WebP, a sheet": length(one.convert("RGB"), **webp),
        "JPEG XL, each": sum(len(jpeg_xl(image, levels)) for image in (x if x.shape[3] > 1 else x[..., 0])),
        "JPEG XL, a sheet": len(jpeg_xl(sheet if x.shape[3] > 1 else sheet[..., 0], levels)),
        "gzip": len(gzip.compress(raw, 9)),
        "xz": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
        "zstd": len(zstd(raw)),
    }


def jpeg_xl(x: NDArray[np.uint8], levels: int) -> bytes:
    """Levels (H, W) or (H, W, 3) as a lossless JPEG XL file."""
    bits = (levels - 1).bit_length()
    return bytes(imagecodecs.jpegxl_encode(x, lossless=True, effort=10, bitspersample=bits, numthreads=1))


def zstd(raw: bytes) -> bytes:
    """Bytes as zstd makes them at its highest level."""
    return bytes(imagecodecs.zstd_encode(raw, 22))


def picture(x: NDArray[np.uint8], levels: int) -> Image.Image:
    """Levels (H, W, C) as a picture: at 2 levels, of one bit a pixel."""
    image = Image.fromarray(x[..., 0] if x.shape[2] == 1 else x)
    return image.point(lambda level: 255 * level).convert("1") if levels == 2 and x.shape[2] == 1 else image


def length(image: Image.Image, **how: object) -> int:
    """The bytes of a picture as a file."""
    file = io.BytesIO()
    image.save(file, **how)  # type: ignore[arg-type]
    return file.tell()


if __name__ == "__main__":
    main()
