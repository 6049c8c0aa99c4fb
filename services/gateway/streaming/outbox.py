"""What waits to be written to one socket: a bounded queue and the one greenlet that writes it."""

import socket as sockets

from gevent.event import Event as Signal


class Outbox:
    """Frames for one client, joined into as few writes as it takes.

    Args:
        socket: a write waits for the client as long as its timeout says.
        most_bytes: so much may wait before `put` waits for room.
    """

    def __init__(self, socket: sockets.socket, most_bytes: int) -> None:
        self._socket = socket
        self._most_bytes = most_bytes
        self._frames: list[bytes] = []
        self._bytes = 0
        self._arrived = Signal()
        self._room = Signal()
        self._ended = False

    def put(self, frames: bytes) -> bool:
        """Leave whole frames to be written, once there is room; False: nothing is written any more."""
        while self._bytes >= self._most_bytes and not self._ended:
            self._room.clear()
            self._room.wait()
        return self.put_now(frames)

    def put_now(self, frames: bytes) -> bool:
        """Leave frames to be written though there may be no room: few and small ones, of who can't wait."""
        if self._ended:
            return False
        self._frames.append(frames)
        self._bytes += len(frames)
        self._arrived.set()
        return True

    def end(self, last: bytes = b"") -> None:
        """Let nothing follow what waits but `last`."""
        if self.put_now(last):
            self._ended = True
            self._room.set()

    def write(self) -> None:
        """Write all that is put, until the end.

        Raises:
            OSError: the client is gone, or takes nothing.
        """
        while not self._ended or self._frames:
            self._arrived.wait()
            self._arrived.clear()
            frames, self._frames, self._bytes = self._frames, [], 0
            self._room.set()
            rest = memoryview(b"".join(frames))
            while rest:
                rest = rest[self._socket.send(rest) :]
