from __future__ import annotations

from pathlib import Path

import pytest

from helpers.process import TINY, command, succeeds


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> tuple[Path, str]:
    """The folder of a run of two tiny epochs, and what it printed."""
    cwd = tmp_path_factory.mktemp("trained")
    output = succeeds(command("train", *TINY, f"data.dir={mnist_dir}", "name=tiny", cwd=cwd))
    return cwd / "outputs" / "tiny", output
