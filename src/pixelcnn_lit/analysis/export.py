"""The command ``export``: writes the weights of a checkpoint as safetensors, with the config as JSON."""

from __future__ import annotations

from pathlib import Path

from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.config import ExportConfig
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.storage.archive import write_safetensors


def export(config: ExportConfig) -> None:
    """Write the model of a checkpoint, without the training state, for other programs and for ``load``."""
    out = Path(config.out)
    if out.suffix != checkpoint.SAFETENSORS:
        raise UserError(f"out={config.out}: must end in {checkpoint.SAFETENSORS}")
    check_outputs(config)
    density, trained = checkpoint.load_with_config(config.ckpt)
    write_safetensors(out, density.state_dict(), checkpoint.header(trained, density.class_names))
    size = out.stat().st_size
    say(f"{out}: {trained.model.name}, {size:,} bytes")
