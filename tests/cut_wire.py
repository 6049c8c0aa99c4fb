"""A wire to a server that tests cut and mend."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Wire:
    """Passes on every byte between whoever connects and a server, in one thread."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._is_cut = self._ended = False

    def cut(self) -> None:
        """Close all connections, and every new one at once."""
        with self._lock:
            self._is_cut = True
            for end in list(self._pairs):
                self._close(end)

    def mend(self) -> None:
        """Pass on what comes from now on."""
        self._is_cut = False

    def run(self) -> None:
        """Pass on until `end`."""
        while not self._ended:
            with self._lock:
                ready = self._ready()
            for end in ready:
                with self._lock:
                    self._accept() if end is self._listener else self._pass_on(end)

    def end(self) -> None:
        """Let `run` return."""
        self._ended = True

    def close(self) -> None:
        """Close everything, once `run` has returned."""
        for end in (self._listener, *self._pairs):
            end.close()

    def _ready(self) -> list[socket.socket]:
        with selectors.DefaultSelector() as selector:
            for end in [self._listener, *self._pairs]:
                selector.register(end, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select(0.02) if isinstance(key.fileobj, socket.socket)]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = None if self._is_cut else socket.create_connection(self._server)
        except OSError:
            server = None
        if server is None:
            client.close()
        else:
            self._pairs |= {client: server, server: client}

    def _pass_on(self, end: socket.socket) -> None:
        if end not in self._pairs:
            return
        with contextlib.suppress(OSError):
            piece = end.recv(65_536)
            if piece:
                self._pairs[end].sendall(piece)
                return
        self._close(end)

    def _close(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, None)
        for one in (end, other):
            if one is not None:
                self._pairs.pop(one, None)
                one.close()


@contextmanager
def wire_to(url: str) -> Iterator[tuple[Wire, str]]:
    """A wire to the server of a URL, and the URL that leads over it."""
    parts = urlsplit(url)
    wire = Wire(str(parts.hostname), parts.port or 0)
    thread = threading.Thread(target=wire.run)
    thread.start()
    try:
        yield wire, url.replace(f":{parts.port}/", f":{wire.port}/")
    finally:
        wire.end()
        thread.join()
        wire.close()
