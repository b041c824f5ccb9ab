"""``python -m benchmarks [NAME [ARGUMENTS]]``: measure speed and quality beside the textbook's ways, and size beside
other coders.

NAME is one of start, sampling, rows, workers, training, quality, sizes and compressors, and ``python -m benchmarks NAME
--help`` shows its arguments; without a name, all of them run as they are.
"""

from __future__ import annotations

import sys

from benchmarks import compressors, quality, rows, sampling, sizes, start, training, workers
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.errors import UserError

BENCHMARKS = {
    "start": start.main,
    "sampling": sampling.main,
    "rows": rows.main,
    "workers": workers.main,
    "training": training.main,
    "quality": quality.main,
    "sizes": sizes.main,
    "compressors": compressors.main,
}


@one_line_errors()
def main() -> None:
    """Run what is asked for."""
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else (None, [])
    if name in ("-h", "--help"):
        print(__doc__)
    elif name is None:
        for each in BENCHMARKS.values():
            each(arguments)
    elif name in BENCHMARKS:
        BENCHMARKS[name](arguments)
    else:
        raise UserError(f"{name}: no such benchmark; there are {', '.join(BENCHMARKS)}")


if __name__ == "__main__":
    main()
