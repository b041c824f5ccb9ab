"""``python -m pixelcnn_lit.evaluate``: the exact likelihood of a split under a checkpoint."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("evaluate", "EvaluateConfig", "pixelcnn_lit.analysis.evaluation:evaluate")


if __name__ == "__main__":
    main()
