"""``python -m pixelcnn_lit.evaluate``: the exact likelihood of a split under a checkpoint."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import EvaluateConfig


def main() -> None:
    """Run the command."""
    cli.run("evaluate", EvaluateConfig, "pixelcnn_lit.analysis.evaluation:evaluate")


if __name__ == "__main__":
    main()
