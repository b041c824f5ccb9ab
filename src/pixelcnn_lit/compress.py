"""``python -m pixelcnn_lit.compress``: images as a file of the size that a checkpoint's likelihood says."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("compress", "CompressConfig", "pixelcnn_lit.analysis.compression:compress")


if __name__ == "__main__":
    main()
