"""IDX, the file format of MNIST and Fashion-MNIST: a big-endian header, then unsigned bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelcnn_lit.errors import UserError

AGAIN = "remove it to fetch it again"


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or gzipped, with ``dimensions`` dimensions.

    Raises UserError that names the file if it is missing, has a wrong magic number, or a length that its header does
    not give. For a damaged file, such as one whose download was cut off, it says how to get it again.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    magic = 0x0800 + dimensions
    header = 4 + 4 * dimensions
    try:
        with opener(path, "rb") as file:
            start = file.read(header)
            if len(start) < header:
                raise UserError(f"{path}: damaged: {len(start)} bytes, shorter than a header of {header}; {AGAIN}")
            found = struct.unpack(">I", start[:4])[0]
            if found != magic:
                reason = f"magic number {found}, expected {magic}"
                raise UserError(f"{path}: no IDX file of {dimensions} dimensions ({reason}); {AGAIN}")
            shape = struct.unpack(f">{dimensions}I", start[4:])
            size = math.prod(shape)
            if size > 2**33:
                raise UserError(f"{path}: its header asks for {size} bytes; at most {2**33} are read")
            data = file.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged ({error}); {AGAIN}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) != size:
        length = f"{len(data)} bytes" if len(data) < size else "more bytes"
        raise UserError(f"{path}: damaged: {length} of data where its header says {size}; {AGAIN}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
