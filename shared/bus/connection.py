"""Connections to the Redis that carries events."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import hiredis
from redis import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as BrokenConnectionError
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


ALREADY_THERE = "equal or smaller"
"""What Redis says of an event whose number is not above the stream's last one."""
_AWAY = "Redis is away. Try again in a moment."


def send(redis: Redis, commands: Sequence[Command], *, together: bool = False) -> list[Any]:
    """Send commands in one round trip.

    (Not by redis-py's pipeline: it takes three times as long, and every chat comes here several times.) Commands are
    sent once more where their connection broke, as after a restart of Redis: each must allow for being done twice.

    Returns:
        Redis' answers in the order of the commands, as RESP2 has them. Only one refusal is an answer, as a
            ResponseError: that a stream has an event of this number already.

    Args:
        redis: who does them.
        commands: are done one after the other.
        together: whether nobody else's commands may come between (MULTI).

    Raises:
        HeliconError: EVENTS_UNAVAILABLE, Redis is away, or refuses: it is full, or a copy that nobody may write to.
    """
    sent = [("MULTI",), *commands, ("EXEC",)] if together else commands
    packed = b"".join(map(cast("Any", hiredis).pack_command, sent))
    with answering():
        try:
            answers = _exchange(redis, packed, len(sent))
        except BrokenConnectionError:
            answers = _exchange(redis, packed, len(sent))
        if together:
            (answers,) = _unless_refused(answers[-1:])
        return _unless_refused(answers)


def _unless_refused(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, ResponseError) and ALREADY_THERE not in str(answer):
            raise answer
    return answers


@contextmanager
def answering() -> Generator[None]:
    """Where Redis is expected to answer.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE, it does not.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        message = f"Redis refuses: {error}" if isinstance(error, ResponseError) else _AWAY
        raise HeliconError(ErrorCode.EVENTS_UNAVAILABLE, message, retry_after=2) from error


def _exchange(redis: Redis, packed: bytes, answers: int) -> list[Any]:
    pool: Any = redis.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command([packed], check_health=False)
        return [_read(connection) for _ in range(answers)]
    except BaseException:
        connection.disconnect()  # answers that nobody read would be the next command's
        raise
    finally:
        pool.release(connection)


def _read(connection: Any) -> Any:  # noqa: ANN401 - what Redis answers
    try:
        return connection.read_response()
    except ResponseError as refused:
        return refused
