"""A run's lease: a key that lives while a worker executes the run, and that the worker renews."""

from collections.abc import Iterable
from uuid import UUID

from redis import Redis

from shared.bus.connection import Command, send
from shared.bus.names import WORKERS, lease, stop_flag


def take_lease(redis: Redis, run: UUID, attempt: int, seconds: float) -> bool:
    """Take the lease of a run that was claimed.

    Returns:
        Whether somebody asked for the run to be stopped before.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    taken: Command = ("SET", lease(run), attempt, "PX", int(seconds * 1000))
    _, flags = send(redis, [taken, ("EXISTS", stop_flag(run))])
    return bool(flags)


def renew_commands(runs: Iterable[tuple[UUID, int]], seconds: float) -> list[Command]:
    """The Redis commands that renew the leases of `(run, attempt)` and tell that a worker lives."""
    milliseconds = int(seconds * 1000)
    commands: list[Command] = [("SET", lease(run), attempt, "PX", milliseconds) for run, attempt in runs]
    return [("SET", WORKERS, b"1", "PX", milliseconds), *commands]


def drop_command(run: UUID) -> Command:
    """The Redis command that gives a lease back."""
    return ("DEL", lease(run))


def any_worker(redis: Redis) -> bool:
    """Whether a worker lives.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (alive,) = send(redis, [("EXISTS", WORKERS)])
    return bool(alive)
