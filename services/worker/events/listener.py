"""What a worker hears from the others: channels of Redis, each with somebody who listens."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger()

PAUSE_SECONDS = 1.0
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""After 15 s of silence the kernel asks the other end, every 5 s, and gives up after three times.

(Not PINGs with a timeout: redis-py's reading with one swallows a cancellation that comes at the same moment.)
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens to a channel: to its messages, and to the news that whatever was said before may have been missed."""

    heard: Callable[[str], None]
    listening: Callable[[Any], Awaitable[None]]
    """Gets a client of the same Redis."""


async def listen(url: str, listeners: Mapping[str, Listener]) -> None:
    """Listen until cancelled, and again after each loss of the connection.

    Args:
        url: of the Redis that carries events.
        listeners: by channel.
    """
    while True:
        try:
            await _listen(url, listeners)
        except (RedisError, OSError) as error:
            log.warning("listener.away", error=str(error))
        await asyncio.sleep(PAUSE_SECONDS)


async def _listen(url: str, listeners: Mapping[str, Listener]) -> None:
    known = {getattr(socket, name): value for name, value in _KEEP_ALIVE.items() if hasattr(socket, name)}
    redis: Any = cast("Any", Redis).from_url(
        url, protocol=2, socket_connect_timeout=3, socket_keepalive=True, socket_keepalive_options=known
    )
    async with redis, redis.pubsub() as channel:
        await channel.subscribe(*listeners)
        async for message in channel.listen():
            listener = listeners[message["channel"].decode()]
            if message["type"] == "subscribe":
                await listener.listening(redis)
            elif message["type"] == "message":
                listener.heard(message["data"].decode())
