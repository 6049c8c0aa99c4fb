"""Connections to the Redis that carries events."""

from collections.abc import Sequence
from typing import Any, cast

from redis import BlockingConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from shared.domain.errors import ErrorCode, HeliconError


def open_redis(url: str, *, pool_size: int, wait_seconds: float = 5) -> Redis:
    """A client whose pool waits when it is full; nothing is connected yet.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        pool_size: connections at most.
        wait_seconds: longest wait for a connection, and for an answer.
    """
    pool = cast("Any", BlockingConnectionPool).from_url(
        url,
        max_connections=pool_size,
        timeout=wait_seconds,
        socket_timeout=wait_seconds,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=15,
        protocol=2,
    )
    return Redis(connection_pool=pool)


Command = tuple[str | bytes | int, ...]
"""A Redis command and its arguments."""


def send(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands in one round trip; the answers come in their order, a refused command's is its ResponseError.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    try:
        pipeline = cast("Any", redis).pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    except RedisError as error:
        raise _away() from error
    for answer in answers:
        if isinstance(answer, RedisError) and not isinstance(answer, ResponseError):
            raise _away() from answer
    return answers


def _away() -> HeliconError:
    return HeliconError(ErrorCode.EVENTS_UNAVAILABLE, "Redis is away. Try again in a moment.", retry_after=2)
