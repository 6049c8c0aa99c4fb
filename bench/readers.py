"""Readers of many streams at once: every event is counted, and how late it came is noted."""

import asyncio
import re
import time
from array import array
from typing import cast

from bench.connection import Address
from bench.response import BrokenResponseError, Response

_EVENT = re.compile(rb'id: (\d+)\ndata: \{"event":"(\w+)"[^\n]*?(?:"answer":"(\d+) "[^\n]*)?\}\n\n')
OK = 200


class Tally:
    """What all readers have seen: events, and how late they came in ns."""

    def __init__(self) -> None:
        self.events = 0
        self.lags = array("q")


class Reader(asyncio.Protocol):
    """One stream, whose events must be numbered from 1 without a gap.

    Args:
        request: what asks for it.
        tally: where its events are counted.
    """

    def __init__(self, request: bytes, tally: Tally) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.seen = 0
        self.finished = False
        self._request = request
        self._tally = tally
        self._response = Response()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop says that there is a connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """The loop says what came."""
        try:
            self._response.feed(data)
            if self._response.status:
                self._open()
                self._read_events()
        except (BrokenResponseError, ValueError) as error:
            self._fail(error)
        if self._response.whole and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop says that the connection ended."""
        if not self._response.whole:
            self._fail(exc or BrokenResponseError(f"closed after {self.seen} events"))

    def close(self) -> None:
        """Close the connection, whatever still comes."""
        if self._transport is not None:
            self._transport.abort()

    def _open(self) -> None:
        if self._response.status != OK:
            raise BrokenResponseError(f"status {self._response.status}: {bytes(self._response.body[:100])!r}")
        if not self.opened.done():
            self.opened.set_result(None)

    def _read_events(self) -> None:
        body = self._response.body
        now = time.monotonic_ns()
        end = 0
        for event in _EVENT.finditer(body):
            number, kind, said = event.groups()
            if int(number) != self.seen + 1:
                raise BrokenResponseError(f"event {int(number)} after {self.seen}")
            self.seen += 1
            self._tally.events += 1
            self.finished = kind == b"message_end"
            if said:
                self._tally.lags.append(now - int(said))
            end = event.end()
        del body[:end]

    def _fail(self, error: Exception) -> None:
        for future in (self.opened, self.ended):
            if not future.done():
                future.set_exception(error)
                future.exception()  # looked at, also where nobody waits
        self.close()


async def open_reader(address: Address, request: bytes, tally: Tally) -> Reader:
    """Ask for a stream and wait until the answer begins.

    Raises:
        OSError, BrokenResponseError: it does not.
    """
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(lambda: Reader(request, tally), address.host, address.port)
    await reader.opened
    return reader
