"""The command lines of the benchmarks: wrong ones end in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pixelcnn_lit.errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse's, which shows what a module's docstring says and raises UserError instead of printing its usage."""

    def __init__(self, doc: str | None) -> None:
        super().__init__(
            prog="python -m benchmarks NAME", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help shows what there is")


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def counts(text: str) -> list[int]:
    """Such numbers, with commas between them."""
    return [count(part) for part in text.split(",")]
