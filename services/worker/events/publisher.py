"""What all runs of a process have to say, sent to Redis in one pipeline per turn of the loop.

A batch that fails is sent again on a new connection: an event that Redis has already is refused by its id in the
stream, and skipped by its readers.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import hiredis
import structlog
from redis.asyncio import ConnectionPool
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from shared.bus.connection import ALREADY_THERE, Command

log = structlog.get_logger()

OnRefused = Callable[[], None]
"""Is called when Redis has a later event of the run already: somebody has taken the run away."""

FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 1.0
ANSWER_SECONDS = 10
FLUSH_SECONDS = 60


class Publisher:
    """Sends commands in the order in which they are given; `run` does the sending.

    Args:
        url: of the Redis that carries events.
    """

    def __init__(self, url: str) -> None:
        self._pool: Any = cast("Any", ConnectionPool).from_url(
            url, protocol=2, socket_connect_timeout=3, socket_keepalive=True
        )
        self._connection: Any = None
        self._waiting: list[tuple[bytes, OnRefused | None]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def send(self, commands: Iterable[Command], on_refused: OnRefused | None = None) -> None:
        """Send commands with the next batch."""
        pack = cast("Any", hiredis).pack_command
        for command in commands:
            self._waiting.append((pack(command), on_refused))
        self._idle.clear()
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether Redis has everything that was given."""
        return self._idle.is_set()

    async def flush(self) -> None:
        """Wait until Redis has everything that was given, for 60 s at most."""
        try:
            await asyncio.wait_for(self._idle.wait(), FLUSH_SECONDS)
        except TimeoutError:
            log.warning("publisher.unsent")

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                batch, self._waiting = self._waiting, []
                await self._send_until_done(batch)
                if not self._waiting:
                    self._idle.set()
        finally:
            await self._disconnect()

    async def _send_until_done(self, batch: list[tuple[bytes, OnRefused | None]]) -> None:
        backoff = FIRST_BACKOFF
        refused: list[OnRefused] = []
        while True:
            try:
                refused = await self._send(batch)
            except (RedisError, OSError, EOFError) as error:
                log.warning("publisher.retry", error=str(error), commands=len(batch))
                await self._disconnect()
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
            else:
                break
        if backoff == FIRST_BACKOFF:  # what is sent again may be refused because it is there already
            for overtaken in refused:
                overtaken()

    async def _send(self, batch: list[tuple[bytes, OnRefused | None]]) -> list[OnRefused]:
        """Send a batch and read its answers: what is to be called for the events that are refused."""
        if self._connection is None:
            connection = self._pool.make_connection()
            await connection.connect()
            self._connection = connection
        async with asyncio.timeout(ANSWER_SECONDS):  # one for all: redis-py's own, for each answer, is slow
            return await self._exchange(batch)

    async def _exchange(self, batch: list[tuple[bytes, OnRefused | None]]) -> list[OnRefused]:
        await self._connection.send_packed_command([b"".join([packed for packed, _ in batch])], check_health=False)
        refused: list[OnRefused] = []
        for _, on_refused in batch:
            try:
                await self._connection.read_response(timeout=math.inf)
            except (ReadOnlyError, OutOfMemoryError, MasterDownError):
                raise  # another Redis may take it, or this one later
            except ResponseError as error:
                if ALREADY_THERE not in str(error):
                    log.error("publisher.refused", error=str(error))
                elif on_refused is not None:
                    refused.append(on_refused)
        return refused

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
