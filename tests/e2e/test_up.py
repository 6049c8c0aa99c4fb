"""`helicon up` with all its real parts: the promises of issue 2, item 1."""

import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from launched import LaunchedUp
from servers import temporary_folder
from services.launcher.embedded.ports import free_port

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the line to paste calls curl")


@pytest.fixture
def data() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder / "data"


def launch(data: Path, *flags: str) -> LaunchedUp:
    port = () if "--port" in flags else ("--port", str(free_port()))
    return LaunchedUp(data, *port, *flags)


def chat(up: LaunchedUp, **fields: str) -> dict[str, Any]:
    """A blocking chat."""
    body = {"query": "Hello!", "user": "me", "response_mode": "blocking", **fields}
    request = urllib.request.Request(  # noqa: S310 - our own
        up.credentials["base_url"] + "/v1/chat-messages",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {up.credentials['app_key']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        return json.load(answer)


def pasted(up: LaunchedUp) -> str:
    """What the line says that `helicon up` offers to paste."""
    line = up.lines[up.lines.index("A first chat:\n") + 1]
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=30, check=True).stdout


@needs_curl
def test_the_pasted_line_is_answered_on_a_first_start_and_on_a_second(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        assert '"message_end"' in pasted(up)
        up.send(signal.SIGTERM)
        assert up.wait(15) == 0
        assert up.left() == []
    with launch(data) as up:
        assert up.until_ready() < 10
        assert '"message_end"' in pasted(up)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_chat_ends_everything_within_15_seconds(data: Path, number: signal.Signals) -> None:
    with launch(data, "-default_model=demo-hang:3") as up:
        up.until_ready()
        port = int(up.credentials["base_url"].rpartition(":")[2])
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as client:
            client.sendall(streaming_request(up))
            assert client.recv(15) == b"HTTP/1.1 200 OK"
            up.send(number)
            assert up.wait(15) == 0
        assert up.left() == []


def streaming_request(up: LaunchedUp) -> bytes:
    body = json.dumps({"query": "Hello!", "user": "me", "response_mode": "streaming"})
    lines = [
        "POST /v1/chat-messages HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {up.credentials['app_key']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


def test_after_kill_9_of_everything_a_conversation_goes_on(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        before, port = up.credentials, up.credentials["base_url"].rpartition(":")[2]
        conversation = chat(up)["conversation_id"]
        up.kill_all()
    with launch(data, "--port", port) as up:
        up.until_ready()
        assert up.credentials == before
        assert chat(up, conversation_id=conversation)["conversation_id"] == conversation


@pytest.mark.parametrize(
    "words",
    [("services.gateway",), ("services.worker",), ("services.demo",), ("bin/postgres", "-D"), ("valkey-server",)],
)
def test_chats_are_answered_again_after_a_part_was_killed(data: Path, words: tuple[str, ...]) -> None:
    with launch(data) as up:
        up.until_ready()
        assert chat(up)["answer"]
        up.find(*words).kill()
        up.until(lambda: "starting it again in 0.5 s" in up.text)
        up.until(lambda: is_answered(up), 30)
        up.send(signal.SIGTERM)
        assert up.wait(15) == 0
        assert up.left() == []


def is_answered(up: LaunchedUp) -> bool:
    try:
        return bool(chat(up)["answer"])
    except OSError:  # refused, cut, or a status that says so
        return False


def test_two_workers_and_another_host_are_ready_too(data: Path) -> None:
    with launch(data, "--workers", "2", "--host", "0.0.0.0") as up:  # noqa: S104 - is what is tested
        up.until_ready()
        assert up.credentials["base_url"].startswith("http://127.0.0.1:")
        assert chat(up)["answer"]
        assert {"worker-1", "worker-2"} <= {line.split()[0] for line in up.lines if line.strip()}
