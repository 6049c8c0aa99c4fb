"""A run's lease: a key that lives while a worker executes the run, and that the worker renews."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from redis import Redis

from shared.bus.connection import Command, send
from shared.bus.names import OPEN_RUNS, WORKERS, lease, stop_flag


def take_lease(redis: Redis, run: UUID, attempt: int, seconds: float) -> bool:
    """Take the lease of a run that was claimed.

    Returns:
        Whether somebody asked for the run to be stopped before.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    taken: Command = ("SET", lease(run), attempt, "PX", int(seconds * 1000))
    _, flags, _ = send(redis, [taken, ("EXISTS", stop_flag(run)), ("HSET", OPEN_RUNS, str(run), attempt)])
    return bool(flags)


def renew_commands(runs: Iterable[tuple[UUID, int]], seconds: float) -> list[Command]:
    """The Redis commands that renew the leases of `(run, attempt)` and tell that a worker lives."""
    milliseconds = int(seconds * 1000)
    commands: list[Command] = [("SET", lease(run), attempt, "PX", milliseconds) for run, attempt in runs]
    return [("SET", WORKERS, b"1", "PX", milliseconds), *commands]


def drop_command(run: UUID) -> Command:
    """The Redis command that gives a lease back."""
    return ("DEL", lease(run))


def lost_runs(redis: Redis, runs: Sequence[UUID]) -> set[UUID]:
    """Those of `runs` that no worker has a lease of.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    if not runs:
        return set()
    (leases,) = send(redis, [("MGET", *map(lease, runs))])
    return {run for run, held in zip(runs, leases, strict=True) if held is None}


def unsaid_runs(redis: Redis) -> list[UUID]:
    """The runs whose last event has not been said, as far as Redis knows.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (runs,) = send(redis, [("HKEYS", OPEN_RUNS)])
    return [UUID(run.decode()) for run in runs]


def any_worker(redis: Redis) -> bool:
    """Whether a worker lives.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (alive,) = send(redis, [("EXISTS", WORKERS)])
    return bool(alive)
