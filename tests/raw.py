"""Requests that no HTTP library would send, over a socket."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class RawResponse:
    """An answer as it came; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def send_raw(url: str, request: bytes, *, half_close: bool = False) -> RawResponse:
    """Send bytes to a server and read its answer to the end of the connection.

    Args:
        url: the server's base URL.
        request: what is sent; it should ask for the connection to be closed.
        half_close: whether to say that nothing follows.
    """
    host = urlsplit(url)
    with socket.create_connection((host.hostname or "", host.port or 80), timeout=30) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            lines = iter(answer.readline, b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (_text(line).partition(":") for line in lines)}
            length = headers.get("content-length")
            return RawResponse(status, headers, answer.read(int(length)) if length else answer.read())


def request(method: str, target: str | bytes, key: str, body: bytes = b"", **headers: str) -> bytes:
    """A request's bytes; `Content_Length` and the like stand in for our own headers."""
    fields = {
        "Host": "localhost",
        "Authorization": f"Bearer {key}",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields.items())
    target = target.encode() if isinstance(target, str) else target
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method.encode(), target, lines, body)


def _text(line: bytes) -> str:
    return line.decode("latin-1")
