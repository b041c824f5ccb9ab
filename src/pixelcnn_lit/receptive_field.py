"""``python -m pixelcnn_lit.receptive_field``: draw what the centre pixel sees, one panel per network."""

import sys

from pixelcnn_lit import start


def main() -> None:
    """Run the command. ``model=a,b`` becomes ``models=[a,b]``, because Hydra would read it as a group and a sweep."""
    sys.argv[1:] = [f"models=[{word[6:]}]" if word.startswith("model=") else word for word in sys.argv[1:]]
    start.run("receptive_field", "ReceptiveFieldConfig", "pixelcnn_lit.analysis.receptive_field:receptive_field")


if __name__ == "__main__":
    main()
