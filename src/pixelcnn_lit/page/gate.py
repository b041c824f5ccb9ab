"""What the server of the page lets in: the few requests that the page makes, and pictures that are only data.

Gradio's server can do more than this page needs: it fetches other addresses, converts films, and takes pictures in all
formats that Pillow reads, of which EPS starts another program.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any

from PIL import Image

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
FILE, UPLOAD = f"{API}/file=", f"{API}/upload"
PAGES = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json"}
CALLS = {
    f"{API}/{name}" for name in ("queue/join", "queue/data", "upload", "upload_progress", "startup-events", "cancel")
}
FOLDERS = ("/assets/", "/static/", f"{API}/heartbeat/")
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
"""The names of this machine, as a browser writes them."""

LARGEST = 8 << 20
"""The most bytes of a request."""
DRAINED = 8 * LARGEST
"""Of a request that is refused, so many bytes are taken all the same."""
FULL = 256 << 20
"""The most bytes of all uploads together; the old ones go after some minutes."""
FORMATS = ("PNG", "JPEG")
PIXELS = 12_000_000
"""Pictures of more than twice as many pixels are not decoded."""


def is_local(host: str) -> bool:
    """Whether an address that is listened to is one that only this machine reaches."""
    return host in LOOPBACK or f"[{host}]" in LOOPBACK


class Gate:
    """Refuses, in one line of text, what the page never asks for.

    Refused are other paths; files outside ``folder``; requests of more than :data:`LARGEST` bytes, or whose length is
    not told; uploads while all together are :data:`FULL`; and what another site sends through a visitor's browser: on
    the loopback, a request must name it as its host, and everywhere the origin must be the host.
    """

    def __init__(self, app: App, folder: str, local: bool) -> None:
        self._app, self._folder, self._local = app, Path(folder).resolve(), local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        refusal = self.refusal(scope) if scope["type"] == "http" else None
        if refusal is None and scope["type"] in ("http", "lifespan"):
            await self._app(scope, receive, send)
        elif refusal is not None:
            await _drained(receive)
            status, text = refusal
            plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": status, "headers": plain})
            await send({"type": "http.response.body", "body": text.encode()})

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the sentence of a request that is refused; None for one that passes."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path, host, origin = scope["path"], headers.get("host", ""), headers.get("origin")
        if self._local and re.sub(r":\d+$", "", host) not in LOOPBACK:
            return 403, "This page is for this machine alone."
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "Another site may not ask this page."
        if not (path in PAGES or path in CALLS or path.startswith((FILE, *FOLDERS))):
            return 404, "There is nothing here."
        if path.startswith(FILE) and not self._is_upload(path.removeprefix(FILE)):
            return 403, "Only uploads can be read."
        if scope["method"] not in ("GET", "HEAD"):
            return self._too_large(path, headers.get("content-length"))
        return None

    def _too_large(self, path: str, length: str | None) -> tuple[int, str] | None:
        if length is None or not length.isdecimal():
            return 411, "The length of a request must be told."
        if int(length) > LARGEST:
            return 413, f"An upload may have {LARGEST >> 20} MB at most."
        if path == UPLOAD and _bytes(self._folder) + int(length) > FULL:
            return 507, "There are too many uploads: try again in some minutes."
        return None

    def _is_upload(self, name: str) -> bool:
        try:
            return Path(name).resolve().is_relative_to(self._folder)
        except (OSError, ValueError):  # a name that no file can have
            return False


async def _drained(receive: Receive) -> None:
    """Take what is sent, up to a bound: a browser that is cut off while it sends does not read the answer."""
    taken = 0
    while taken < DRAINED:
        message = await receive()
        taken += len(message.get("body", b""))
        if not message.get("more_body"):
            return


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def read_pictures_alone() -> None:
    """From now on, Pillow opens files of :data:`FORMATS` alone in this process, and none of too many pixels."""
    Image.init()
    for name in set(Image.OPEN) - set(FORMATS):
        del Image.OPEN[name]
        Image.ID.remove(name)
    Image.MAX_IMAGE_PIXELS = PIXELS
