"""The command ``demo``: a page in the browser, served until Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from types import FrameType
from typing import Any

import torch

from pixelcnn_lit.config import DemoConfig
from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.page.gate import is_local, read_pictures_alone
from pixelcnn_lit.page.models import models


def serve(config: DemoConfig) -> None:
    """Show the page until Ctrl-C or SIGTERM. What visitors upload is in a folder that is removed then.

    Raises UserError if gradio is not installed, a checkpoint cannot be read, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="pixelcnn_lit_demo_") as folder:
        # Read by gradio when it is imported.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio asks its own server once
        launch = _launch()
        found = models(config)
        read_pictures_alone()
        # The sampler is many small operations. While the server has work, each would wait the usual 5 ms for its turn.
        sys.setswitchinterval(0.0005)
        # The other half of the cores is for the server and the browser.
        torch.set_num_threads(max(1, torch.get_num_threads() // 2))
        closed = threading.Event()
        _on_signals(closed)
        page = launch(found, config, folder)
        say(f"http://{config.host}:{config.port} (Ctrl-C ends it)")
        if not is_local(config.host):
            say(f"note: host={config.host}: other machines can open the page")
        closed.wait()
        page.close(verbose=False)
    say("the page is closed")


def _on_signals(closed: threading.Event) -> None:
    def close(number: int, frame: FrameType | None) -> None:
        closed.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, close)


def _launch() -> Any:
    try:
        return imported("pixelcnn_lit.page.blocks:launch")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise UserError("demo needs the package gradio: pip install 'pixelcnn-lit[demo]'") from error
