"""``python -m pixelcnn_lit.export``: the weights of a checkpoint as safetensors, with the config as plain JSON."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import ExportConfig


def main() -> None:
    """Run the command."""
    cli.run("export", ExportConfig, "pixelcnn_lit.analysis.export:export")


if __name__ == "__main__":
    main()
