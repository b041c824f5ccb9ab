"""``python -m benchmarks.results``: write what README and docs say of the runs that are kept under docs/results.

``python -m benchmarks.results keep RUN NAME`` first copies what is kept of a finished run, a folder below outputs/, to
docs/results/NAME: its metrics.json and validation.csv, without the places of this machine; of a sweep, its command and
a line for each run. ``--check`` writes nothing, and fails if a page or a picture differs from what is kept. How a page
says where a figure is from: benchmarks/page.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from benchmarks.arguments import Parser
from benchmarks.curves import Curves, draw, of_runs, shows
from benchmarks.kept import keep, kept_runs
from benchmarks.kept_sweep import is_sweep, keep_sweep, kept_sweeps
from benchmarks.page import Page
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage.files import shown, write_whole

ROOT = Path(__file__).parents[1]
AGAIN = "python -m benchmarks.results writes it anew"


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Keep a run if asked to, then write, or check."""
    parser = Parser(__doc__)
    parser.add_argument("words", nargs="*", metavar="keep RUN NAME", help="keep a run first")
    parser.add_argument("--replace", action="store_true", help="in place of the kept run of that name")
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a page differs from the runs")
    arguments = parser.parse_intermixed_args(argv)
    if arguments.check:
        if arguments.words or arguments.replace:
            parser.error("--check stands alone")
        check(ROOT)
        return
    if arguments.words:
        if len(arguments.words) != 3 or arguments.words[0] != "keep":
            parser.error(f"{' '.join(arguments.words)}: the words are keep RUN NAME")
        run, name = arguments.words[1:]
        keeps = keep_sweep if is_sweep(Path(run)) else keep
        print(shown(keeps(Path(run), name, ROOT / "docs" / "results", replace=arguments.replace)))
    for path in write(ROOT):
        print(shown(path))


def write(root: Path) -> list[Path]:
    """Write the pages and pictures that differ from the kept runs; they are what is returned."""
    found = [(page.path, text) for page in pages(root) if (text := page.filled()) != page.text]
    found += [(path, draw(curves)) for path, curves in pictures(root) if not shows(path, curves)]
    for path, text in found:
        with write_whole(path) as file:
            file.write(text.encode())
    return [path for path, _ in found]


def check(root: Path) -> None:
    """Raise UserError if a page or a picture differs from the kept runs."""
    for page in pages(root):
        before, after = page.text.splitlines(), page.filled().splitlines()
        for number, (says, right) in enumerate(zip_longest(before, after, fillvalue=""), 1):
            if says != right:
                where = f"{shown(page.path)}:{number}"
                raise UserError(f"{where}: says {says!r}, where the kept runs say {right!r}; {AGAIN}")
    for path, curves in pictures(root):
        if not shows(path, curves):
            raise UserError(f"{shown(path)}: does not show the curves of the kept runs; {AGAIN}")


def pages(root: Path) -> Iterator[Page]:
    """README and docs."""
    results = root / "docs" / "results"
    runs, sweeps = kept_runs(results), kept_sweeps(results)
    for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        yield Page(path, results, runs, sweeps)


def pictures(root: Path) -> Iterator[tuple[Path, Curves]]:
    """The pictures of all tables: their files, and the curves in them."""
    for page in pages(root):
        for name, runs in page.tables():
            yield page.results / f"{name}.svg", of_runs(runs)


if __name__ == "__main__":
    main()
