"""``python -m pixelcnn_lit.export``: the weights of a checkpoint as safetensors, with the config as plain JSON."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("export", "ExportConfig", "pixelcnn_lit.analysis.export:export")


if __name__ == "__main__":
    main()
