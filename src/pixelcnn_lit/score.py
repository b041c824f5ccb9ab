"""``python -m pixelcnn_lit.score``: tell other images from those that a checkpoint was trained on."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import ScoreConfig


def main() -> None:
    """Run the command."""
    cli.run("score", ScoreConfig, "pixelcnn_lit.analysis.detection:detect")


if __name__ == "__main__":
    main()
