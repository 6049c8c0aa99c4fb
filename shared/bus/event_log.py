"""A run's events in Redis: a stream that keeps them for replay, and a channel that says them now.

An entry's id is the event's place (`shared.contracts.events.Place`). Redis refuses an id that is not above the last
one: so an attempt that was overtaken, or a batch that is sent twice, can't add anything. Whoever takes a run away from
an attempt puts a fence into both, stream and channel: what that attempt still says is refused by the one and skipped
by those who listen to the other.
"""

import time
from collections.abc import Sequence
from uuid import UUID

from redis import Redis

from shared.bus.connection import Command, send
from shared.bus.names import OPEN_RUNS, SINCE, events_channel, events_stream
from shared.contracts.events import START, Event, Place, encode, pack

FIELD = b"e"
FENCE = 0
"""The `seq` of an entry that says nothing: older attempts say nothing more."""
BEYOND = 1_000_000
"""A `seq` that no run reaches."""
LONGEST_RUN = 6 * 3600
"""Seconds that a stream lives when its run never says that it is closed."""

Entry = tuple[Place, bytes]
"""An event's place and its JSON."""


def event_commands(run: UUID, place: Place, event: bytes) -> list[Command]:
    """The Redis commands that add an event to the run's stream and say it on its channel."""
    stream = events_stream(run)
    message = pack(place, event)
    commands: list[Command] = [
        ("XADD", stream, message[: -len(event) - 1], FIELD, event),
        ("PUBLISH", events_channel(run), message),
    ]
    if place.seq == 1:
        commands.append(("EXPIRE", stream, LONGEST_RUN))
    return commands


def closing_commands(run: UUID, seconds: int) -> list[Command]:
    """The Redis commands after a run's last event: its stream lives `seconds` from now, and it is no longer open."""
    return [("EXPIRE", events_stream(run), seconds), ("HDEL", OPEN_RUNS, str(run))]


def read_events(redis: Redis, run: UUID, after: Place = START) -> list[Entry]:
    """What a run's stream holds after a place: its events, and fences between them (`is_fence`).

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (rows,) = send(redis, [("XRANGE", events_stream(run), f"({after}" if after != START else "-", "+")])
    return _entries(rows)


def log_age(redis: Redis) -> float:
    """Since when Redis has kept all events, in seconds: 0 when it has just been found without its data.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    now = time.time()
    _, since = send(redis, [("SET", SINCE, str(now), "NX"), ("GET", SINCE)])
    return now - float(since)


def is_fence(entry: Entry) -> bool:
    """Whether an entry only tells that attempts before its own say nothing more."""
    return entry[0].seq == FENCE


def fence_off(redis: Redis, run: UUID, attempt: int) -> list[Entry]:
    """Let attempts before this one say nothing more, and give back the events that they said.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    stream, place = events_stream(run), Place(attempt, FENCE)
    commands: list[Command] = [
        ("XADD", stream, str(place), FIELD, b""),
        ("PUBLISH", events_channel(run), pack(place, b"")),
        ("EXPIRE", stream, LONGEST_RUN),
        ("XRANGE", stream, "-", "+"),
    ]
    rows = send(redis, commands, together=True)[-1]
    return [entry for entry in _entries(rows) if not is_fence(entry)]


def append_events(
    redis: Redis, run: UUID, attempt: int, said: Sequence[Entry], events: Sequence[Event], keep_seconds: int
) -> None:
    """End a run's events from outside of a worker. Twice by the same attempt is as good as once.

    Args:
        redis: where the events are.
        run: whose they are.
        attempt: that older ones were fenced off by.
        said: what they said.
        events: the last ones, `Closed` included.
        keep_seconds: how long the stream lives from now.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    commands: list[Command] = []
    lost = 0 if attempt == 1 else BEYOND  # what was said is gone: its numbers must not be given again
    for number, event in enumerate(events, (said[-1][0].seq if said else lost) + 1):
        commands += event_commands(run, Place(attempt, number), encode(event))
    send(redis, commands + closing_commands(run, keep_seconds), together=True)


def _entries(rows: Sequence[tuple[bytes, tuple[bytes, bytes]]]) -> list[Entry]:
    return [(Place.parse(place), event) for place, (_, event) in rows]
