"""``python -m pixelcnn_lit.report outputs/depth``: compare the runs below a folder in a table and a page."""

import argparse
import importlib
from pathlib import Path

from pixelcnn_lit.start import imports

EXAMPLES = """\
examples:
  python -m pixelcnn_lit.report outputs/depth     the jobs of a sweep, train -m ... name=depth
  python -m pixelcnn_lit.report outputs/mine      one run: its curve, samples and command
  python -m pixelcnn_lit.report outputs           all runs there are
"""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m pixelcnn_lit.report",
        description="Compare the runs below a folder: a table sorted by test bits/dim here, and a page, report.html, "
        "in the folder, with plots, validation curves, samples and the commands.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="of a sweep, outputs/<name>, or of many: outputs")
    folder = parser.parse_args().folder
    with imports():
        cli, reporting = (importlib.import_module(f"pixelcnn_lit.{name}") for name in ("cli", "reporting.report"))
    with cli.one_line_errors():
        reporting.report(folder)


if __name__ == "__main__":
    main()
