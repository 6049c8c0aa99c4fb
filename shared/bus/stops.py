"""Stopping a run: a message for the worker that has it, and a flag for the one that will."""

from uuid import UUID

from redis import Redis

from shared.bus.connection import send
from shared.bus.names import STOPS, stop_flag

FLAG_SECONDS = 24 * 3600


def request_stop(redis: Redis, run: UUID) -> None:
    """Ask whichever worker has the run, or takes it later, to stop it.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    send(redis, [("SET", stop_flag(run), b"1", "EX", FLAG_SECONDS), ("PUBLISH", STOPS, str(run))])
