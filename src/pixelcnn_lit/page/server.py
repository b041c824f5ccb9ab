"""The command ``demo``: a page in the browser, served until Ctrl-C."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from types import FrameType

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
    if importlib.util.find_spec("gradio") is None:
        raise UserError("demo needs the package gradio: pip install 'pixelcnn-lit[demo]'")
    _refuse_taken(config.host, config.port)
    say("The models are read …")
    found = models(config)
    # The other half of the cores is for the server and the browser.
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    # The sampler is many small operations. While the server has work, each would wait the usual 5 ms for its turn.
    sys.setswitchinterval(0.0005)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio asks its own server once
    read_pictures_alone()
    with tempfile.TemporaryDirectory(prefix="pixelcnn_lit_demo_") as folder:
        # Read by gradio when it is imported.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        closed = threading.Event()
        _on_signals(closed)
        page = imported("pixelcnn_lit.page.blocks:launch")(found, config, folder)
        say(f"http://{config.host}:{config.port} (Ctrl-C ends it)")
        if not is_local(config.host):
            say(f"note: host={config.host}: other machines can open the page")
        closed.wait()
        page.close(verbose=False)
    say("the page is closed")
    # A sampling that still runs is a thread inside torch, and Python's own end would abort the process under it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _refuse_taken(host: str, port: int) -> None:
    """Raise UserError if an address cannot be listened to."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(address)
    except socket.gaierror as error:
        raise UserError(f"host={host}: no address of this machine; 127.0.0.1 is") from error
    except OSError as error:
        raise UserError(f"port={port}: cannot be listened to on host={host} ({error.strerror})") from error


def _on_signals(closed: threading.Event) -> None:
    def close(number: int, frame: FrameType | None) -> None:
        closed.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, close)
