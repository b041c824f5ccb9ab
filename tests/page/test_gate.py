from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from PIL import Image

from pixelcnn_lit.page import gate
from pixelcnn_lit.page.gate import LARGEST, Gate, is_local


def ask(folder, path="/", method="GET", local=True, **headers):
    """The status that a request gets: 0 if it passes."""
    told = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    encoded = [(name.encode(), value.encode()) for name, value in told.items() if value is not None]
    scope = {"type": "http", "path": path, "method": method, "headers": encoded}
    sent = []

    async def app(scope, receive, send):
        sent.append({"status": 0})

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"x", "more_body": len(sent) > 0}

    asyncio.run(Gate(app, str(folder), local)(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    "path",
    ["/", "/config", "/theme.css", "/assets/index.js", "/gradio_api/queue/data", "/gradio_api/heartbeat/abc"],
)
def test_what_the_page_asks_for_passes(tmp_path, path):
    assert ask(tmp_path, path) == 0
    assert ask(tmp_path, path, host="localhost:7860", origin="http://localhost:7860") == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::1]:7860"])
def test_this_machine_may_be_named_with_a_port_or_without(tmp_path, host):
    assert ask(tmp_path, host=host, origin=f"http://{host}") == 0
    assert ask(tmp_path, host=f"{host}.example.org") == ask(tmp_path, host="[::1") == ask(tmp_path, host="::1") == 403


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring",
        "/gradio_api/proxy=http://example.org",
        "/gradio_api/component_server",
        "/gradio_api/process_recording",
        "/gradio_api/run/predict",
        "/gradio_api/info",
        "/gradio_api/file/etc/passwd",
        "/custom_component/1/client/component/../../x",
        "//",
        "/../etc/passwd",
    ],
)
def test_all_else_is_not_there(tmp_path, path):
    assert ask(tmp_path, path) == 404


def test_files_are_read_in_the_folder_of_uploads_alone(tmp_path):
    folder, secret = tmp_path / "uploads", tmp_path / "secret.txt"
    (folder / "a").mkdir(parents=True)
    secret.write_text("secret")
    (folder / "a" / "mine.png").write_text("x")
    (folder / "link.png").symlink_to(secret)
    assert ask(folder, f"/gradio_api/file={folder}/a/mine.png") == 0
    for name in (
        secret,
        folder / ".." / "secret.txt",
        f"{folder}/a/../../secret.txt",
        folder / "link.png",
        "/etc/passwd",
        "../../../../etc/passwd",
        "pyproject.toml",
        "http://example.org/x.png",
        "file:///etc/passwd",
        f"{folder}\0/../secret.txt",
        "x" * 5000,
        "",
    ):
        assert ask(folder, f"/gradio_api/file={name}") == 403, name


def test_another_site_asks_in_vain(tmp_path):
    assert ask(tmp_path, "/config", origin="https://example.org") == 403
    assert ask(tmp_path, "/config", origin="null") == 403
    assert ask(tmp_path, "/config", host="example.org:7860") == 403, "a name that leads to this machine"
    assert ask(tmp_path, "/config", host=None) == 403
    assert ask(tmp_path, "/config", host="192.168.0.2:7860", local=False) == 0


def test_a_request_has_a_length_and_not_too_much_of_it(tmp_path, monkeypatch):
    post = {"path": "/gradio_api/upload", "method": "POST"}
    assert ask(tmp_path, **post, content_length=str(LARGEST)) == 0
    assert ask(tmp_path, **post, content_length=str(LARGEST + 1)) == 413
    assert ask(tmp_path, "/gradio_api/queue/join", "POST", content_length=str(10**12)) == 413
    assert ask(tmp_path, **post) == 411
    assert ask(tmp_path, **post, content_length="-5") == 411
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.png").write_bytes(bytes(900))
    monkeypatch.setattr(gate, "FULL", 1000)
    assert ask(tmp_path, **post, content_length="100") == 0
    assert ask(tmp_path, **post, content_length="101") == 507


def test_the_loopback_has_several_names():
    assert [is_local(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "192.168.0.2")] == [
        *(True, True, True),
        *(False, False),
    ]


def test_pillow_then_reads_pictures_alone(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.eps")
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    code = """if True:
        import sys
        from PIL import Image
        from pixelcnn_lit.page.gate import read_pictures_alone
        read_pictures_alone()
        for name in ("a.eps", "a.png", "bomb.png"):
            try:
                Image.open(name).load()
                print("read")
            except Exception as error:
                print(type(error).__name__)
    """
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["UnidentifiedImageError", "read", "DecompressionBombError"]
