"""``python -m pixelcnn_lit.export``: the weights of a checkpoint as safetensors, with the config as plain JSON."""

from __future__ import annotations

from omegaconf import DictConfig

from pixelcnn_lit import command


def main() -> None:
    """Run the command."""
    command.run("export", export)


def export(composed: DictConfig) -> None:
    """Write the model of a checkpoint, without the state of its training, for other programs and for ``load``."""
    from pixelcnn_lit.config import ExportConfig, check

    config = check(composed, ExportConfig)

    from pathlib import Path

    from rich import get_console

    from pixelcnn_lit import checkpoint
    from pixelcnn_lit.archive import write_safetensors
    from pixelcnn_lit.errors import UserError

    out = Path(config.out)
    if out.suffix != checkpoint.SAFETENSORS:
        raise UserError(f"out={config.out}: must end in {checkpoint.SAFETENSORS}")
    density, trained = checkpoint.load_with_config(config.ckpt)
    write_safetensors(out, density.state_dict(), checkpoint.header(trained))
    size = out.stat().st_size
    get_console().print(f"{out}: {trained.model.name}, {size:,} bytes", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
