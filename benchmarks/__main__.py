"""``python -m benchmarks [sampling|training|sizes] [ARGUMENTS]``: one benchmark, or without a name all."""

from __future__ import annotations

import sys

from benchmarks import sampling, sizes, training

BENCHMARKS = {"sampling": sampling.main, "training": training.main, "sizes": sizes.main}


def main() -> None:
    """Run what is asked for; the arguments are those of the benchmark."""
    name, arguments = (sys.argv[1], sys.argv[2:]) if sys.argv[1:2] and sys.argv[1] in BENCHMARKS else ("", sys.argv[1:])
    for each in [name] if name else BENCHMARKS:
        BENCHMARKS[each](arguments)


if __name__ == "__main__":
    main()
