"""Changes of the live configuration, told to every process."""

from redis import Redis

from shared.bus.connection import send
from shared.bus.names import CHANGES


def announce_change(redis: Redis, version: int) -> None:
    """Tell every process that the live configuration was changed.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE; they look for themselves when Redis is back.
    """
    send(redis, [("PUBLISH", CHANGES, version)])
