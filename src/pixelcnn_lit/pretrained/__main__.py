"""So that ``python -m`` finds the command."""

from pixelcnn_lit.pretrained import main

if __name__ == "__main__":
    main()
