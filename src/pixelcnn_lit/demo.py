"""``python -m pixelcnn_lit.demo``: a page in the browser that completes, draws, scores and compares."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("demo", "DemoConfig", "pixelcnn_lit.page.server:serve")


if __name__ == "__main__":
    main()
