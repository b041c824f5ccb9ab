"""What waits in the imports of a command until somebody needs it. Each case is a process of its own: imports stay."""

import subprocess
import sys

import pytest

IN_IMPORTS = """
import sys
from pixelcnn_lit import start
with start.imports():
    {block}
{after}
"""


def printed(block, after):
    code = IN_IMPORTS.format(block=block, after=after)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_torchmetrics_does_not_bring_the_signals_of_scipy():
    assert printed("import torchmetrics", "print('scipy.signal' in sys.modules)") == ["False"]


@pytest.mark.parametrize(
    "block", ["from scipy.signal import convolve", "import scipy.signal.windows", "import scipy.signal as signal"]
)
def test_who_asks_for_them_has_them_within_and_after(block):
    after = "import scipy.signal\nprint(scipy.signal.convolve([1, 1], [1, 1])[1], scipy.signal.windows.hamming(3)[1])"
    assert printed(block, after) == ["2", "1.0"]


def test_one_who_got_the_module_within_keeps_it():
    assert printed("import scipy.signal as held", "print(held.convolve([1, 1], [1, 1])[1])") == ["2"]


def test_modules_that_are_there_already_stay():
    after = "import scipy.signal as there\nwith start.imports(): pass\nprint(there is sys.modules['scipy.signal'])"
    assert printed("pass", after) == ["True"]
