"""A run's events in Redis: a stream that keeps them for replay, and a channel that says them now.

An entry's id is the event's place (`shared.contracts.events.Place`). Redis refuses an id that is not above the last
one: so an attempt that was overtaken, or a batch that is sent twice, can't add anything.
"""

from collections.abc import Sequence
from uuid import UUID

from redis import Redis

from shared.bus.connection import Command, send
from shared.bus.names import OPEN_RUNS, events_channel, events_stream
from shared.contracts.events import START, Event, Place, encode, pack

FIELD = b"e"
FENCE = 0
"""The `seq` of an entry that says nothing, but keeps older attempts from saying more."""
BEYOND = 1_000_000
"""A `seq` that no run reaches."""
LONGEST_RUN = 6 * 3600
"""Seconds that a stream lives when its run never says that it is closed."""

Entry = tuple[Place, bytes]
"""An event's place and its JSON."""


def event_commands(run: UUID, place: Place, event: bytes) -> list[Command]:
    """The Redis commands that add an event to the run's stream and say it on its channel."""
    stream = events_stream(run)
    commands: list[Command] = [
        ("XADD", stream, str(place), FIELD, event),
        ("PUBLISH", events_channel(run), pack(place, event)),
    ]
    if place.seq == 1:
        commands.append(("EXPIRE", stream, LONGEST_RUN))
    return commands


def closing_commands(run: UUID, seconds: int) -> list[Command]:
    """The Redis commands after a run's last event: its stream lives `seconds` from now, and it is no longer open."""
    return [("EXPIRE", events_stream(run), seconds), ("HDEL", OPEN_RUNS, str(run))]


def read_events(redis: Redis, run: UUID, after: Place = START) -> list[Entry]:
    """The events of a run after a place.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (rows,) = send(redis, [("XRANGE", events_stream(run), f"({after}" if after != START else "-", "+")])
    return _entries(rows)


def append_events(redis: Redis, run: UUID, attempt: int, events: Sequence[Event], keep_seconds: int) -> None:
    """End a run's events from outside of a worker; what an overtaken attempt says afterwards is refused.

    Args:
        redis: where the events are.
        run: whose they are.
        attempt: above every attempt that said something.
        events: the last ones, `Closed` included.
        keep_seconds: how long the stream lives from now.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    stream = events_stream(run)
    fence: Command = ("XADD", stream, str(Place(attempt, FENCE)), FIELD, b"")
    _, rows = send(redis, [fence, ("XRANGE", stream, "-", "+")])
    said = _entries(rows)
    commands: list[Command] = []
    lost = 0 if attempt == 1 else BEYOND  # what was said is gone: its numbers must not be given again
    for number, event in enumerate(events, (said[-1][0].seq if said else lost) + 1):
        commands += event_commands(run, Place(attempt, number), encode(event))
    send(redis, commands + closing_commands(run, keep_seconds))


def _entries(rows: Sequence[tuple[bytes, tuple[bytes, bytes]]]) -> list[Entry]:
    """What a stream holds, without fences."""
    entries = ((Place.parse(place), event) for place, (_, event) in rows)
    return [(place, event) for place, event in entries if place.seq != FENCE]
