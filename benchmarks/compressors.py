"""``python -m benchmarks.compressors``: what lossless coders make of the first test images of a data set.

PNG (optimised) and WebP get the images one by one, and all on one sheet of twenty columns; gzip and xz get the levels
of all images, at 2 levels eight in a byte. Bits per dimension are all bytes of the files, headers included.
"""

from __future__ import annotations

import gzip
import io
import lzma
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table

from benchmarks import output
from benchmarks.arguments import Parser, count
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.datamodule import ImageDataModule

COLUMNS = 20


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show a table, write a JSON file."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=count, default=1000, help="images, a multiple of 20 for whole sheets")
    parser.add_argument("--out", default="outputs/benchmarks/compressors.json")
    parser.add_argument("overrides", nargs="*", help="of the config: data=fashion_mnist data.levels=256")
    arguments = parser.parse_args(argv)
    screen = output.console()
    config = compose(arguments.overrides)
    x = ImageDataModule(config.data, config.seed).split("test").images[: arguments.n].numpy().transpose(0, 2, 3, 1)
    sizes = measured(np.ascontiguousarray(x), config.data.levels)
    rows = Table("coder", "bytes", "bits/dim")
    for name, size in sizes.items():
        rows.add_row(name, f"{size:,}", f"{8 * size / x.size:.4f}")
    screen.print(rows)
    output.save(arguments.out, {"config": arguments.overrides, "images": len(x), "bytes": sizes})


def measured(x: NDArray[np.uint8], levels: int) -> dict[str, int]:
    """The bytes that each coder needs for images of levels (N, H, W, C), C being 1 or 3."""
    whole = len(x) // COLUMNS * COLUMNS
    sheet = x[:whole].reshape(-1, COLUMNS, *x.shape[1:]).swapaxes(1, 2).reshape(-1, COLUMNS * x.shape[2], x.shape[3])
    raw = np.packbits(x).tobytes() if levels == 2 else x.tobytes()
    pictures, one = [picture(image, levels) for image in x], picture(sheet, levels)
    png, webp = {"format": "PNG", "optimize": True}, {"format": "WEBP", "lossless": True, "quality": 100, "method": 6}
    return {
        "PNG, each": sum(length(image, **png) for image in pictures),
        "PNG, a sheet": length(one, **png),
        "WebP, each": sum(length(image.convert("RGB"), **webp) for image in pictures),
        "WebP, a sheet": length(one.convert("RGB"), **webp),
        "gzip": len(gzip.compress(raw, 9)),
        "xz": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
    }


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
