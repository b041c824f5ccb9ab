"""``python -m pixelcnn_lit.train``: train a density, test its best checkpoint, write metrics and pictures."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import TrainConfig


def main() -> None:
    """Run the command."""
    cli.run("train", TrainConfig, "pixelcnn_lit.training.command:train")


if __name__ == "__main__":
    main()
