"""A run's lease: a key that lives while a worker executes the run, and that the worker renews.

Each attempt has its own, so that one that was overtaken keeps nobody from seeing that the newest is lost.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from redis import Redis

from shared.bus.connection import Command, send
from shared.bus.names import OPEN_RUNS, WORKERS, lease, stop_flag


def take_lease(redis: Redis, run: UUID, attempt: int, seconds: float) -> bool:
    """Take the lease of an attempt that was claimed.

    Returns:
        Whether somebody asked for the run to be stopped before.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    taken: Command = ("SET", lease(run, attempt), b"1", "PX", int(seconds * 1000))
    _, flags, _ = send(redis, [taken, ("EXISTS", stop_flag(run)), ("HSET", OPEN_RUNS, str(run), attempt)])
    return bool(flags)


def renew_commands(runs: Iterable[tuple[UUID, int]], seconds: float) -> list[Command]:
    """The Redis commands that renew the leases of `(run, attempt)` and tell that a worker lives."""
    milliseconds = int(seconds * 1000)
    commands: list[Command] = [("SET", lease(run, attempt), b"1", "PX", milliseconds) for run, attempt in runs]
    return [("SET", WORKERS, b"1", "PX", milliseconds), *commands]


def drop_command(run: UUID, attempt: int) -> Command:
    """The Redis command that gives a lease back."""
    return ("DEL", lease(run, attempt))


def lost_runs(redis: Redis, runs: Mapping[UUID, int]) -> set[UUID]:
    """Those of `runs`, by id, whose attempt has no lease.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    if not runs:
        return set()
    (leases,) = send(redis, [("MGET", *(lease(run, attempt) for run, attempt in runs.items()))])
    return {run for run, held in zip(runs, leases, strict=True) if held is None}


def unsaid_runs(redis: Redis) -> dict[UUID, int]:
    """The runs whose last event has not been said, as far as Redis knows, and the attempts that should say it.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (runs,) = send(redis, [("HGETALL", OPEN_RUNS)])
    return {UUID(run.decode()): int(attempt) for run, attempt in zip(runs[::2], runs[1::2], strict=True)}


def any_worker(redis: Redis) -> bool:
    """Whether a worker lives.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (alive,) = send(redis, [("EXISTS", WORKERS)])
    return bool(alive)
