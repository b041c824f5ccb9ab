"""Ancestral sampling: images are drawn from a model pixel by pixel."""
