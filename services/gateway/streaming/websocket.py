"""One WebSocket: messages in, messages out, heartbeat and end. What the messages mean is not known here.

flask-sock and simple-websocket shake hands, wsproto reads frames (RFC 6455); what is between is ours. simple-websocket
would start a thread for each socket that takes in messages without a bound and writes its pongs between the halves of
our frames; its writes have no end of waiting, and its close may be lost because it does not wait for the other side's.
"""

import socket as sockets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct
from typing import Any, cast

import gevent
import structlog
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from services.gateway.streaming.outbox import Outbox

log = structlog.get_logger()

READ_BYTES = 64 * 1024
WAITING_BYTES = 256 * 1024
"""Bytes that wait for a slow client before those who have more for it wait too."""
CLOSE_SECONDS = 5
"""How long the other side may take to answer a close."""

_SHORT, _MIDDLE, _LONG = Struct("!BB"), Struct("!BBH"), Struct("!BBQ")
_FINAL_TEXT = 0x81


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """What a client may do: bytes of a message, seconds between two pings, seconds of silence before it is gone."""

    most_bytes: int
    ping_seconds: float
    silence_seconds: float


def text_frame(text: bytes) -> bytes:
    """UTF-8 as a frame of its own: the hot path, a twentieth of what wsproto takes."""
    length = len(text)
    if length < 126:  # noqa: PLR2004 - the protocol's own numbers
        return _SHORT.pack(_FINAL_TEXT, length) + text
    if length < 1 << 16:
        return _MIDDLE.pack(_FINAL_TEXT, 126, length) + text
    return _LONG.pack(_FINAL_TEXT, 127, length) + text


class WebSocket:
    """A connection whose handshake is done.

    Args:
        socket: its owner closes it; a write that the client does not take for its timeout cuts the client off.
        connection: wsproto's side of the protocol.
        limits: of what the client may do.
    """

    def __init__(self, socket: sockets.socket, connection: Connection, limits: WebSocketLimits) -> None:
        self._socket = socket
        self._connection = connection
        self._limits = limits
        self._outbox = Outbox(socket, WAITING_BYTES)
        self._message = bytearray()
        self._heard_at = self._pinged_at = time.monotonic()
        self._closing_at: float | None = None
        self._ended = False
        self._broken = False
        self.code = CloseReason.ABNORMAL_CLOSURE.value

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closing_at is not None

    def serve(self, take: Callable[[bytes | None], None]) -> None:
        """Give each message to `take` until the connection has ended: its UTF-8, None for a binary one."""
        writer = cast("Any", gevent.spawn(self._write))
        try:
            while not self._ended and (data := self._receive()):
                for message in self._read(data):
                    take(message)
        finally:
            self._begin_to_close()
            writer.join()

    def send(self, frames: bytes) -> bool:
        """Send frames made by `text_frame`; waits while too much waits already. False: the connection has ended."""
        return self._outbox.put(frames)

    def close(self, code: int, reason: str, frames: bytes = b"") -> None:
        """Say goodbye after what was sent so far, and `frames`; never waits.

        `serve` returns when the other side has answered.
        """
        if not self.closing:
            self.code = code
            self._begin_to_close(frames + self._connection.send(CloseConnection(code, reason)))

    def tick(self, now: float) -> None:
        """Look after the connection; never waits. `now` is of `time.monotonic`."""
        if self._closing_at is not None:
            if now - self._closing_at > CLOSE_SECONDS:
                self._cut()
        elif now - self._heard_at > self._limits.silence_seconds:
            self.close(CloseReason.POLICY_VIOLATION, "No ping was answered.")
        elif now - self._pinged_at >= self._limits.ping_seconds:
            self._pinged_at = now
            self._outbox.put_now(self._connection.send(Ping()))

    def _begin_to_close(self, last: bytes = b"") -> None:
        if self._closing_at is None:
            self._closing_at = time.monotonic()
        self._outbox.end(last)

    def _cut(self) -> None:
        """End the connection from this side, whatever the other does."""
        self._begin_to_close()
        with suppress(OSError):
            self._socket.shutdown(sockets.SHUT_RDWR)

    def _write(self) -> None:
        try:
            self._outbox.write()
            if self._broken:  # its answer to our close can't be read any more: what it sees is the end
                self._socket.shutdown(sockets.SHUT_WR)
        except OSError as error:
            log.info("socket.cut_off", error=str(error))
            self._cut()

    def _receive(self) -> bytes:
        """What the client sent; nothing where it is gone."""
        while True:
            try:
                data = self._socket.recv(READ_BYTES)
            except TimeoutError:
                continue  # the timeout is for writing; how long a client may be silent `tick` knows
            except OSError:
                return b""
            self._heard_at = time.monotonic()
            return data

    def _read(self, data: bytes) -> Iterator[bytes | None]:
        if self._broken:
            return
        self._connection.receive_data(data)
        for event in self._connection.events():
            match event:
                case TextMessage() | BytesMessage():
                    yield from self._piece(event)
                case Ping() if not self.closing:
                    self._outbox.put(self._connection.send(event.response()))
                case CloseConnection():
                    self._goodbye(event)
                case _:
                    pass

    def _piece(self, event: TextMessage | BytesMessage) -> Iterator[bytes | None]:
        """A message, when this is its last piece."""
        if self.closing:
            return
        self._message += event.data.encode() if isinstance(event, TextMessage) else event.data
        if len(self._message) > self._limits.most_bytes:
            self._message.clear()
            self.close(CloseReason.MESSAGE_TOO_BIG, f"A message has at most {self._limits.most_bytes} bytes.")
        elif event.message_finished:
            message = bytes(self._message)
            self._message.clear()
            yield message if isinstance(event, TextMessage) else None

    def _goodbye(self, event: CloseConnection) -> None:
        """The other side closes, or answers our close; or wsproto can't read what came."""
        match self._connection.state:
            case ConnectionState.REMOTE_CLOSING:
                self.code = event.code
                self._ended = True
                self._begin_to_close(self._connection.send(event.response()))
            case ConnectionState.CLOSED:
                self._ended = True
            case _:
                self._broken = True
                self.close(event.code, event.reason or "")
