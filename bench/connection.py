"""The load generator's connections: raw asyncio protocols, one request after the other on each.

An HTTP library would take more CPU for a chat than some of the systems that are measured, on the cores that they need.
This takes about 0.2 ms a chat of 20 tokens, the check of the answer included.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import cast

from bench.response import BrokenResponseError, Response

ANSWER_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Address:
    """Where a system listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was answered; times are of `time.perf_counter`, in seconds; `first` None: no text came."""

    status: int
    body: bytes
    begun: float
    first: float | None
    ended: float


class Connection(asyncio.Protocol):
    """One connection; `open_connection` makes it.

    Args:
        first_text: what the first piece of an answer's text looks like.
    """

    def __init__(self, first_text: re.Pattern[bytes]) -> None:
        self._first_text = first_text
        self._transport: asyncio.Transport | None = None
        self._response = Response()
        self._first: float | None = None
        self._done: asyncio.Future[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Exchange:
        """Send a request and wait for the whole answer.

        Raises:
            BrokenResponseError, ConnectionError, TimeoutError: there is none.
        """
        if self._transport is None:
            raise BrokenResponseError("not connected")
        self._response, self._first = Response(), None
        self._done = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._done
        response = self._response
        if not response.keeps:
            self.close()
        return Exchange(response.status, bytes(response.body), begun, self._first, time.perf_counter())

    def close(self) -> None:
        """Close the connection, whatever still comes."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop says that there is a connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base

    def data_received(self, data: bytes) -> None:
        """The loop says what came."""
        try:
            self._response.feed(data)
        except (BrokenResponseError, ValueError) as error:
            self._fail(error)
            return
        if self._first is None and self._first_text.search(self._response.body):
            self._first = time.perf_counter()
        if self._response.whole and self._done and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop says that the connection ended."""
        self._transport = None
        if self._done and not self._done.done():
            try:
                self._response.close()
            except BrokenResponseError as error:
                self._fail(exc or error)
            else:
                self._done.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(error)
        self.close()


async def open_connection(address: Address, first_text: re.Pattern[bytes]) -> Connection:
    """Connect to a system.

    Raises:
        OSError: it does not listen.
    """
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(first_text), address.host, address.port)
    return connection
