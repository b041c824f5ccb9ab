"""``python -m pixelcnn_lit.decompress``: the images of a file that ``compress`` wrote."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import DecompressConfig


def main() -> None:
    """Run the command."""
    cli.run("decompress", DecompressConfig, "pixelcnn_lit.analysis.compression:decompress")


if __name__ == "__main__":
    main()
