"""``python -m pixelcnn_lit.vqvae``: train an autoencoder and the priors of its codes, and draw images from them."""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("vqvae", "VqvaeConfig", "pixelcnn_lit.training.stages:vqvae")


if __name__ == "__main__":
    main()
