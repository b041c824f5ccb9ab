"""``python -m pixelcnn_lit.vqvae``: train an autoencoder and the priors of its codes, and draw images from them."""

from pixelcnn_lit import cli
from pixelcnn_lit.config import VqvaeConfig


def main() -> None:
    """Run the command."""
    cli.run("vqvae", VqvaeConfig, "pixelcnn_lit.training.stages:vqvae")


if __name__ == "__main__":
    main()
