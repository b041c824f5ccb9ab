"""``python -m pixelcnn_lit.sample``: draw images from a checkpoint, or complete half-hidden ones."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("sample", "SampleConfig", "pixelcnn_lit.analysis.samples:sample")


if __name__ == "__main__":
    main()
