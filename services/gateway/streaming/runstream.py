"""A run as a reader sees it: its events in order, each once, from wherever the reader left off to the end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from redis import Redis

from services.gateway.streaming.relay import Feed
from shared.bus.event_log import Entry, read_events
from shared.contracts.events import START, Closed, Event, Place, Text, decode
from shared.store.runs import RunRecord

log = structlog.get_logger()

Numbered = tuple[int, Event]
"""An event and its `seq`."""


@dataclass(frozen=True, slots=True)
class RunIds:
    """What every frame of a run tells."""

    run: UUID
    message: UUID
    conversation: UUID
    created_at: datetime


def follow(feed: Feed, redis: Redis, run: UUID, said: list[Entry]) -> Iterator[list[Numbered]]:
    """The run's events as they come, up to and with `Closed`; an empty list where none came for a while.

    Args:
        feed: of the run's channel.
        redis: where the run's stream is, for what the feed does not have.
        run: its id.
        said: what the stream held after the feed was subscribed.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    last = START
    idle = False
    entries = said
    while True:
        entries, last = _in_order(entries, last, redis, run)
        events = [(place.seq, decode(payload)) for place, payload in entries]
        if events or idle:
            yield events
        if events and isinstance(events[-1][1], Closed):
            return
        if feed.overrun:
            log.warning("stream.reader_too_slow", run=str(run))
            return
        entries = feed.take()
        idle = not entries
        if idle:
            entries = read_events(redis, run, last)


def _in_order(entries: list[Entry], last: Place, redis: Redis, run: UUID) -> tuple[list[Entry], Place]:
    """`entries` without those that are not after `last`, and with those that are missing between."""
    kept: list[Entry] = []
    for entry in entries:
        place = entry[0]
        if place <= last:
            continue
        if place.seq > last.seq + 1:
            missing = [other for other in read_events(redis, run, last) if other[0] < place]
            kept += missing
            log.info("stream.gap", run=str(run), after=str(last), before=str(place), filled=len(missing))
        kept.append(entry)
        last = place
    return kept, last


def rebuild(record: RunRecord, after: int) -> Iterator[list[Numbered]]:
    """The events of a run that has ended, made from its message: the whole answer at once, and the end.

    Args:
        record: the run.
        after: `seq` of the last event that the reader has; 0 for none.
    """
    events: list[Numbered] = []
    if record.answer and after < 1:
        events.append((1, Text(record.answer)))
    seq = max(after, 1) + 1
    yield [*events, (seq, record.event), (seq + 1, Closed())]
