"""``python -m pixelcnn_lit.explain``: which pixels of an image a checkpoint finds hard to foresee."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("explain", "ExplainConfig", "pixelcnn_lit.analysis.explanation:explain")


if __name__ == "__main__":
    main()
