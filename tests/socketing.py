"""WebSockets as clients have them: `connected` with a client library, `RawSocket` frame by frame."""

import base64
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, TextMessage

from talk import ENDS

SECONDS = 30
"""Longest wait for a message."""


def socket_url(base_url: str) -> str:
    return f"{base_url.replace('http', 'ws', 1)}/ws"


class Client:
    """A client that keeps what it did not ask for yet."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._kept: list[dict[str, Any]] = []

    def send(self, **message: object) -> None:
        self.send_text(json.dumps(message))

    def send_text(self, text: str | bytes | list[str]) -> None:
        self._connection.send(text)

    def receive(self) -> dict[str, Any]:
        """The next message."""
        if self._kept:
            return self._kept.pop(0)
        text = self._connection.recv(timeout=SECONDS)
        assert isinstance(text, str)
        return json.loads(text)

    def ask(self, **message: object) -> dict[str, Any]:
        """Send a message and give the next one back."""
        self.send(**message)
        return self.receive()

    def next_of(self, message_id: object) -> dict[str, Any]:
        """The next message with that id; others are kept."""
        passed: list[dict[str, Any]] = []
        while (message := self.receive()).get("id") != message_id:
            passed.append(message)
        self._kept = passed + self._kept
        return message

    def events(self, message_id: object) -> list[dict[str, Any]]:
        """A run's events to its end."""
        events = [self.next_of(message_id)]
        while events[-1]["type"] == "event" and events[-1]["data"]["event"] not in ENDS:
            events.append(self.next_of(message_id))
        assert {event["type"] for event in events} == {"event"}, events
        return events

    def chat(self, message_id: object = "a chat", query: str = "Hello?", **fields: object) -> list[dict[str, Any]]:
        """A chat's events to its end."""
        self.send(type="chat", id=message_id, query=query, **fields)
        return self.events(message_id)

    def goodbye(self) -> tuple[int | None, list[dict[str, Any]]]:
        """The code with which the server closes, None where the connection is just lost; and what it says before."""
        said, self._kept = self._kept, []
        while True:
            try:
                said.append(self.receive())
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None, said


@contextmanager
def connected(base_url: str, origin: str | None = None, headers: Mapping[str, str] | None = None) -> Iterator[Client]:
    """A socket that has said nothing yet."""
    with connect(
        socket_url(base_url), origin=origin, additional_headers=headers, max_size=None, proxy=None
    ) as connection:
        yield Client(connection)


@contextmanager
def entered(base_url: str, key: str, user: str, **auth: object) -> Iterator[Client]:
    """A socket on which `user` may ask."""
    with connected(base_url) as client:
        assert client.ask(type="auth", key=key, user=user, **auth)["type"] == "ready"
        yield client


def frames(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The frames of the chat application API within events."""
    return [event["data"] for event in events]


class RawSocket:
    """A client that does what a library would not: it answers nothing by itself, and sends what it is told."""

    def __init__(self, base_url: str, *, receive_buffer: int = 0) -> None:
        url = urlsplit(base_url)
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(SECONDS)
        self._socket.connect((url.hostname, url.port))
        status, _, rest = self._shake_hands(url.netloc).partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 101 "), status
        self.connection = Connection(ConnectionType.CLIENT, trailing_data=rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave without a word."""
        self._socket.close()

    def _shake_hands(self, host: str) -> bytes:
        self.send_bytes(handshake(host))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1)
        return answer

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send(self, event: Event) -> None:
        self.send_bytes(self.connection.send(event))

    def say(self, **message: object) -> None:
        self.send(TextMessage(json.dumps(message)))

    def events(self) -> Iterator[Event]:
        """What the server sends, until it ends the connection."""
        while True:
            yield from self.connection.events()
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                return
            if not data:
                return
            self.connection.receive_data(data)

    def code(self, texts: list[str] | None = None) -> int | None:
        """The code with which the server closes, None where it just ends the connection; what it says is added."""
        for event in self.events():
            if isinstance(event, TextMessage) and texts is not None:
                texts.append(event.data)
            if isinstance(event, CloseConnection):
                self.send(event.response())
                return event.code
        return None

    def next_ping(self) -> Ping:
        return next(event for event in self.events() if isinstance(event, Ping))


def handshake(host: str, **headers: str | None) -> bytes:
    """A handshake's bytes; `Sec_WebSocket_Key` and the like stand in for the right ones, None leaves one out."""
    fields = {
        "Host": host,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"GET /ws HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
