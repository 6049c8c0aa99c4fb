"""What is written to a WebSocket: frames as the protocol has them, in few writes, and never too many waiting."""

import socket as sockets
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket as green
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from services.gateway.streaming.outbox import Outbox
from services.gateway.streaming.websocket import text_frame


@pytest.fixture
def pair() -> Iterator[tuple[sockets.socket, sockets.socket]]:
    """Ours and the client's end; ours waits a quarter of a second for the client."""
    ours, theirs = green.socketpair()
    ours.settimeout(0.25)
    with ours, theirs:
        yield ours, theirs


def read_all(socket: sockets.socket) -> bytes:
    return b"".join(iter(lambda: socket.recv(65536), b""))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_text_frame_is_what_the_protocol_calls_one(length: int):
    text = "é" * (length // 2) + "x" * (length % 2)
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(text_frame(text.encode()) + text_frame(b"next"))
    pieces = list(client.events())
    assert all(isinstance(piece, TextMessage) for piece in pieces)
    assert pieces[-1] == TextMessage("next")
    assert "".join(piece.data for piece in pieces[:-1]) == text
    assert [piece.message_finished for piece in pieces].count(True) == 2


class CountedSocket:
    """A socket that remembers how much each write was given."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def send(self, data: memoryview) -> int:
        self.writes.append(bytes(data))
        return len(data)


def test_what_waits_is_written_at_once_and_in_order():
    socket = CountedSocket()
    outbox = Outbox(socket, 100)
    for number in range(5):
        assert outbox.put(b"%d" % number)
    outbox.end(b"!")
    outbox.write()
    assert socket.writes == [b"01234!"]


def test_nothing_follows_the_end(pair: tuple[sockets.socket, sockets.socket]):
    ours, theirs = pair
    outbox = Outbox(ours, 100)
    assert outbox.put(b"all")
    outbox.end(b"!")
    outbox.end(b"again")
    assert not outbox.put(b"more")
    assert not outbox.put_now(b"more")
    outbox.write()
    ours.close()
    assert read_all(theirs) == b"all!"


def test_who_has_more_than_fits_waits_for_room_and_who_can_not_wait_does_not(
    pair: tuple[sockets.socket, sockets.socket],
):
    ours, theirs = pair
    outbox = Outbox(ours, 3)
    assert outbox.put(b"abc")
    putting = gevent.spawn(outbox.put, b"def")
    gevent.idle()
    assert not putting.ready()
    assert outbox.put_now(b"!")
    writing = gevent.spawn(outbox.write)
    assert putting.get(timeout=5)
    outbox.end()
    writing.get(timeout=5)
    ours.close()
    assert read_all(theirs) == b"abc!def"


def test_the_end_wakes_who_waits_for_room(pair: tuple[sockets.socket, sockets.socket]):
    outbox = Outbox(pair[0], 1)
    outbox.put(b"x")
    putting = gevent.spawn(outbox.put, b"y")
    gevent.idle()
    outbox.end()
    assert putting.get(timeout=5) is False


def test_a_client_that_takes_nothing_is_an_error_in_time(pair: tuple[sockets.socket, sockets.socket]):
    ours, _ = pair
    outbox = Outbox(ours, 1)
    outbox.put(b"x" * (16 << 20))
    with pytest.raises(TimeoutError):
        outbox.write()
