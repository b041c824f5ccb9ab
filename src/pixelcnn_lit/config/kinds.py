"""Which kind of run a config is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixelcnn_lit.config.train import RunConfig, TrainConfig
from pixelcnn_lit.config.vqvae import AutoencoderRunConfig


def run_section(config: Mapping[str, Any]) -> type[RunConfig]:
    """The section of a run's config, as a file holds it: that of an autoencoder, or of a density."""
    return AutoencoderRunConfig if "autoencoder" in config else TrainConfig
