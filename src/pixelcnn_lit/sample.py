"""``python -m pixelcnn_lit.sample``: draw images from a checkpoint, or complete half-hidden ones."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import SampleConfig


def main() -> None:
    """Run the command."""
    cli.run("sample", SampleConfig, "pixelcnn_lit.analysis.samples:sample")


if __name__ == "__main__":
    main()
