"""Images: where they come from, how they become levels, and how they reach the model."""
