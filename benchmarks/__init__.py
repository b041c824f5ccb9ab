"""Speed and quality, measured side by side with the textbook way, and the figures that the pages tell of runs."""
