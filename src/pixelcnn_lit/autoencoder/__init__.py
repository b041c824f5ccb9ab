"""Images as codes: the autoencoder of VQ-VAE and VQ-VAE-2."""
