"""examples/README.md: its commands, section by section, as processes of a shell."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.process import environment

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORT = "trainer=cpu trainer.max_steps={} trainer.limit_val_batches=1 trainer.limit_test_batches=1 logger=none"


def sections() -> dict[str, list[tuple[str, str]]]:
    """The blocks of each section, (language, code)."""
    _, *parts = re.split(r"^## ", (EXAMPLES / "README.md").read_text(), flags=re.MULTILINE)
    return {part.split("\n")[0]: re.findall(r"```(\w+)\n(.*?)```", part, re.DOTALL) for part in parts}


def test_each_folder_has_a_section_and_each_section_a_folder():
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert folders == sections().keys()


@pytest.mark.soak
@pytest.mark.parametrize("name", sections())
def test_the_commands_of_a_section_run(name, tmp_path):
    """Trainings are cut short, and a shell runs the rest as it is printed."""
    shutil.copytree(EXAMPLES / name, tmp_path / "examples" / name)
    lines = ["set -e", f'python() {{ "{sys.executable}" "$@"; }}']
    for language, code in sections()[name]:
        if language == "python":
            lines += ["python - <<'END'", code, "END"]
            continue
        for line in code.splitlines():
            steps = 3 if "ckpt=" in line else 2
            lines.append(f"{line} {SHORT.format(steps)}" if "pixelcnn_lit.train " in line else line)
    script = "\n".join(lines)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
