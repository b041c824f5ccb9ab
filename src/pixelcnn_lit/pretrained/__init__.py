"""Models that come with the package: ``ckpt=pretrained:NAME``; ``python -m pixelcnn_lit.pretrained`` lists them."""
