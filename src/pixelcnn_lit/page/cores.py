"""How many cores a thread uses."""

from __future__ import annotations

import torch


def keep_share() -> None:
    """Let this thread use as many cores as were set for the process, by ``torch.set_num_threads``.

    The libraries that multiply matrices begin with all cores in a new thread. Where other work is beside, such as a
    browser, the threads of small operations then wait for each other most of the time.
    """
    torch.set_num_threads(torch.get_num_threads())
