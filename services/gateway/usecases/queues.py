"""How long the queues are: a request that would wait too long is refused before anything is reserved for it."""

import time

from redis import Redis

from shared.bus.connection import send
from shared.domain.errors import ErrorCode, HeliconError

FRESH_SECONDS = 0.25
"""How long a length is believed."""
RETRY_SECONDS = 5


class QueueLimit:
    """Refuses what would make a queue too long.

    Args:
        broker: has the queues.
        limit: runs that a queue may hold.
    """

    def __init__(self, broker: Redis, limit: int) -> None:
        self._broker = broker
        self._limit = limit
        self._lengths: dict[str, tuple[float, int]] = {}

    def take_place(self, queue: str) -> None:
        """Check a queue before a run is put into it. Between two looks at Redis the process counts its own.

        Raises:
            HeliconError: QUEUE_FULL; EVENTS_UNAVAILABLE, Redis is away.
        """
        asked_at, length = self._lengths.get(queue, (float("-inf"), 0))
        if time.monotonic() - asked_at > FRESH_SECONDS:
            (length,) = send(self._broker, [("LLEN", queue)])
            asked_at = time.monotonic()
        self._lengths[queue] = (asked_at, length + 1)
        if length >= self._limit:
            raise HeliconError(
                ErrorCode.QUEUE_FULL,
                f"The queue is full: {length} requests wait. Try again later.",
                retry_after=RETRY_SECONDS,
            )
