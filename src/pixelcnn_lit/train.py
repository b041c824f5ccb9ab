"""``python -m pixelcnn_lit.train``: train a density, test its best checkpoint, write metrics and pictures."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("train", "TrainConfig", "pixelcnn_lit.training.command:train")


if __name__ == "__main__":
    main()
