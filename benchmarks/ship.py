"""``python -m benchmarks.ship RUN NAME``: put the best model of a run's folder into the package, in float16."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from omegaconf import OmegaConf

from benchmarks.kept import told
from pixelcnn_lit.analysis.shipped import ship
from pixelcnn_lit.cli import one_line_errors
from pixelcnn_lit.config.types import PRETRAINED
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder


@one_line_errors()
def main() -> None:
    """Write the file, and print its figures."""
    if len(sys.argv) != 3:
        raise UserError("usage: python -m benchmarks.ship RUN NAME")
    run, out = Path(sys.argv[1]), PRETRAINED / f"{sys.argv[2]}.safetensors"
    overrides = [str(text) for text in OmegaConf.load(run / run_folder.OVERRIDES)]
    # A run that went on in another folder is told by the command that trains it from its start.
    overrides = [text for text in overrides if not text.startswith("ckpt=")]
    command = shlex.join(["python", "-m", "pixelcnn_lit.train", *told(overrides)])
    figures = ship(run / "checkpoints" / "best.ckpt", out, command)
    print(f"{out}: {out.stat().st_size:,} bytes, {figures['test/bits_per_dim']:.5f} bits/dim")


if __name__ == "__main__":
    main()
