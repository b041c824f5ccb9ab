"""``python -m pixelcnn_lit.explain``: which pixels of an image a checkpoint finds hard to foresee."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import ExplainConfig


def main() -> None:
    """Run the command."""
    cli.run("explain", ExplainConfig, "pixelcnn_lit.analysis.explanation:explain")


if __name__ == "__main__":
    main()
