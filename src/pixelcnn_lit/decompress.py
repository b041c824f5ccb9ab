"""``python -m pixelcnn_lit.decompress``: the images of a file that ``compress`` wrote."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("decompress", "DecompressConfig", "pixelcnn_lit.analysis.compression:decompress")


if __name__ == "__main__":
    main()
