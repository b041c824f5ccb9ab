"""Drawing images from the conditionals of a model, pixel by pixel."""
