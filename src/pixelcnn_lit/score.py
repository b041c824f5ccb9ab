"""``python -m pixelcnn_lit.score``: tell other images from those that a checkpoint was trained on."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("score", "ScoreConfig", "pixelcnn_lit.analysis.detection:detect")


if __name__ == "__main__":
    main()
