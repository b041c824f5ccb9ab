"""``python -m pixelcnn_lit.pretrained``: the models that come with the package, which lie in this folder.

Every command takes one as ``ckpt=pretrained:NAME``.
"""

from pixelcnn_lit import start


def main() -> None:
    """Run the command."""
    start.run("pretrained", "PretrainedConfig", "pixelcnn_lit.analysis.shipped:show")
