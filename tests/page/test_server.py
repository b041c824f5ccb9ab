"""The server of the page as others meet it: a process of its own, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers.builders import write_checkpoint
from helpers.process import environment, fails, forked
from pixelcnn_lit import build

TINY = ["model.n_res=1", "model.hidden=4", "data.levels=2", "data.image_shape=[1,8,8]"]
CLIENTS = 50
STARTS = 240
"""So many seconds may pass until the page is there: most go into imports, and the machine may be busy."""


class Server:
    """A process of ``demo``, and questions to it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uploads = folder / "tmp"
        self.uploads.mkdir()
        self.log = folder / "log"
        command = [sys.executable, "-m", "pixelcnn_lit.demo", "ckpt=a.ckpt", f"port={self.port}"]
        told = environment(TMPDIR=str(self.uploads), OMP_NUM_THREADS="1")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=told, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + STARTS
        while "Ctrl-C ends it" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise AssertionError(f"no page: {self.log.read_text()}")
            time.sleep(0.1)
        config = json.loads(self.ask("GET", "/config")[1])
        labels = {part["id"]: part["props"].get("value") for part in config["components"] if part["type"] == "button"}
        self.buttons = {
            labels[event["targets"][0][0]]: event["id"]
            for event in config["dependencies"]
            if event["targets"][0][0] in labels
        }

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """The status and the content of an answer; the path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def upload(self, name: str, content: bytes) -> tuple[int, bytes]:
        """Upload a file, as the page does."""
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + b"\r\n--x--\r\n"
        return self.ask("POST", "/gradio_api/upload", body, content_type="multipart/form-data; boundary=x")

    def press(self, button: str, who: str, *data: object) -> dict[str, object]:
        """What a visitor is told last after pressing a button."""
        wish = json.dumps({"data": data, "fn_index": self.buttons[button], "session_hash": who}).encode()
        status, answer = self.ask("POST", "/gradio_api/queue/join", wish, content_type="application/json")
        assert status == 200, answer
        lines = self.ask("GET", f"/gradio_api/queue/data?session_hash={who}")[1].decode().splitlines()
        told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        return next(each for each in reversed(told) if each["msg"] == "process_completed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    torch.manual_seed(0)
    write_checkpoint(folder / "a.ckpt", build(TINY), TINY)
    (folder / "secret.txt").write_text("secret")
    started = Server(folder)
    yield started
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(60) == 0, started.log.read_text()
    assert started.log.read_text().splitlines()[-1] == "the page is closed"
    said = started.log.read_text()
    assert said.count("Traceback") == said.count("InvalidPathError: "), "gradio tells of thieves"
    assert list(started.uploads.glob("pixelcnn_lit_demo_*")) == []


def answered(told):
    """Whether a visitor was told neither of a failure nor what is wrong."""
    return told["success"] and 'role="alert"' not in str(told["output"]["data"])


def sample(server, who):
    return server.press("Sample", who, "a.ckpt", 8, 0, 1, 8, 8, "any")


def test_the_page_is_there(server):
    status, page = server.ask("GET", "/")
    assert status == 200
    assert b"pixelcnn-lit" in page


def test_no_file_of_the_machine_can_be_read(server):
    here = server.log.parent
    for path in (
        *("/etc/passwd", f"{here}/secret.txt", f"{here}/a.ckpt", "secret.txt", "../secret.txt", "..%2fsecret.txt"),
        *("%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "....//....//etc/passwd", "/proc/self/environ", "C:/x"),
        *("http://127.0.0.1:1/x", "file:///etc/passwd", f"{server.uploads}/../secret.txt"),
    ):
        for way in (
            "/gradio_api/file=",
            "/file=",
            "/gradio_api/file/",
            "/static/",
            "/assets/",
            "/gradio_api/proxy=",
            "/",
        ):
            status, answer = server.ask("GET", way + path)
            assert status in (307, 400, 403, 404, 405), (way + path, status)
            assert b"secret" not in answer.replace(b"secret.txt", b"")
            assert b"root:" not in answer


def test_an_upload_can_be_read_again_by_who_knows_its_name_and_no_larger_one_is_taken(server, tmp_path):
    Image.new("L", (8, 8), 255).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    status, answer = server.upload("../../x.png", content)
    assert status == 200
    (place,) = json.loads(answer)
    assert Path(place).is_relative_to(server.uploads)
    assert server.ask("GET", f"/gradio_api/file={place}") == (200, content)
    told = server.press("Score", "u", "a.ckpt", {"path": place, "meta": {"_type": "gradio.FileData"}}, False)
    assert answered(told), told
    status, answer = server.upload("x.png", bytes(9 << 20))
    assert status == 413
    assert b"8 MB" in answer
    assert sum(path.stat().st_size for path in server.uploads.rglob("*") if path.is_file()) < 1 << 20


@pytest.mark.parametrize("name", ["a.eps", "a.png", "a.svg"])
def test_what_is_no_picture_is_refused_in_a_sentence(server, tmp_path, name):
    Image.new("L", (8, 8)).save(tmp_path / "x.eps")
    (place,) = json.loads(server.upload(name, (tmp_path / "x.eps").read_bytes())[1])
    file = {"path": place, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    told = server.press("Score", f"wrong-{name}", "a.ckpt", file, False)
    sentence, nothing = told["output"]["data"]
    assert sentence.startswith('<p class="wrong" role="alert">this')
    assert "cannot be read as a" in sentence
    assert not answered(told)
    assert str(server.uploads) not in sentence
    assert nothing == ""


def test_a_file_of_the_machine_is_no_upload(server):
    for path in (f"{server.log.parent}/secret.txt", "/etc/passwd"):
        told = server.press("Score", "thief", "a.ckpt", {"path": path, "meta": {"_type": "gradio.FileData"}}, False)
        assert not told["success"]
        assert "root:" not in json.dumps(told)


def test_another_site_asks_in_vain(server):
    assert server.ask("GET", "/config", origin="https://example.org")[0] == 403
    assert server.ask("GET", "/config", host="example.org")[0] == 403


def test_many_visitors_at_once_are_all_answered(server):
    found = {}

    def visit(number):
        found[number] = sample(server, f"visitor-{number}")

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == CLIENTS
    assert all(answered(told) for told in found.values())
    assert len({json.dumps(told["output"]["data"]) for told in found.values()}) == 1, "one seed, one answer"


def test_wrong_keys_are_one_line(server, tmp_path):
    write_checkpoint(tmp_path / "a.ckpt", build(TINY), TINY)
    context = [*TINY, "context=grey", "data=npz", "data.path=x", "data.image_shape=[3,8,8]"]
    write_checkpoint(tmp_path / "grey.ckpt", build(context), context)
    for arguments, message in (
        (["ckpt=none.ckpt"], "ckpt=none.ckpt: no such file"),
        (["ckpt=grey.ckpt"], "ckpt=grey.ckpt: has context=grey"),
        (["beside=grey.ckpt"], "beside=grey.ckpt: has context=grey"),
        (["port=0"], "port=0: must be an integer from 1 to 65535"),
        ([f"port={server.port}"], f"port={server.port}: cannot be listened to on host=127.0.0.1"),
        (["host=192.0.2.1"], "host=192.0.2.1"),
        (["host=no.such.host.invalid"], "host=no.such.host.invalid: no address of this machine"),
    ):
        fails(forked("demo", *arguments, cwd=tmp_path), message)
