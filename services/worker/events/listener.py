"""What a worker hears from the others: channels of Redis, each with somebody who listens."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as BrokenConnectionError
from redis.exceptions import RedisError

log = structlog.get_logger()

PAUSE_SECONDS = 1.0
SILENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens to a channel: to its messages, and to the news that whatever was said before may have been missed."""

    heard: Callable[[str], None]
    listening: Callable[[Any], Awaitable[None]]
    """Gets a client of the same Redis."""


async def listen(url: str, listeners: Mapping[str, Listener], silence: float = SILENCE_SECONDS) -> None:
    """Listen until cancelled, and again after each loss of the connection.

    Args:
        url: of the Redis that carries events.
        listeners: by channel.
        silence: seconds without a word until Redis is asked for one, and as many again until it is given up.
    """
    while True:
        try:
            await _listen(url, listeners, silence)
        except (RedisError, OSError) as error:
            log.warning("listener.away", error=str(error))
        await asyncio.sleep(PAUSE_SECONDS)


async def _listen(url: str, listeners: Mapping[str, Listener], silence: float) -> None:
    redis: Any = cast("Any", Redis).from_url(url, protocol=2, socket_connect_timeout=3, socket_keepalive=True)
    async with redis, redis.pubsub() as channel:
        await channel.subscribe(*listeners)
        asked = False
        while True:
            message = await channel.get_message(timeout=silence)
            if message is None:
                if asked:
                    raise BrokenConnectionError("Redis does not answer")
                await channel.ping()
            asked = message is None
            if message is not None:
                await _hear(message, listeners, redis)


async def _hear(message: dict[str, Any], listeners: Mapping[str, Listener], redis: object) -> None:
    match message["type"]:
        case "subscribe":
            await listeners[message["channel"].decode()].listening(redis)
        case "message":
            listeners[message["channel"].decode()].heard(message["data"].decode())
        case _:
            pass  # the answer to a PING
