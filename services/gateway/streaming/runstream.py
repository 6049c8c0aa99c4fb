"""A run as a reader sees it: its events in order, each once, from wherever the reader left off to the end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from redis import Redis

from services.gateway.streaming.relay import Feed
from shared.bus.event_log import Entry, is_fence, read_events
from shared.contracts.events import START, Closed, Event, Failed, Finished, Place, Replaced, Text, decode
from shared.domain.errors import HeliconError
from shared.store.runs.read import RunRecord

log = structlog.get_logger()

_END = 2
"""The events that end a run: how it ended, and `Closed`."""

Numbered = tuple[int, Event]
"""An event and its `seq`."""


@dataclass(frozen=True, slots=True)
class RunIds:
    """What every frame of a run tells."""

    run: UUID
    message: UUID
    conversation: UUID
    created_at: datetime


@dataclass(frozen=True)
class RunStream:
    """A run that is being followed, until `close`.

    `batches`: its events as they come, an empty batch where nothing came for a while. `after`: events up to this
    `seq` are not wanted.
    """

    ids: RunIds
    batches: Iterator[list[Numbered]]
    close: Callable[[], None]
    after: int = 0


class Follower:
    """Follows one run for one reader.

    Args:
        feed: of the run's channel.
        redis: where the run's stream is, for what the feed does not have.
        run: its id.
        find: the run as the database has it.
        after: `seq` of the last event that the reader has; 0 for none.
    """

    def __init__(
        self, feed: Feed, redis: Redis, run: UUID, find: Callable[[], RunRecord | None], after: int = 0
    ) -> None:
        self._feed = feed
        self._redis = redis
        self._run = run
        self._find = find
        self._after = after
        self._last = START
        self._fence = 0
        self._given = 0
        self._ended = False
        self._length = 0
        self._length_known = True
        self._hole = False

    def follow(self, said: list[Entry]) -> Iterator[list[Numbered]]:
        """The run's events, up to and with `Closed`; an empty list where none came for a while.

        While Redis is away nothing comes; when the run has ended meanwhile, and nobody says so any more, the rest
        comes from the database.

        Args:
            said: what the stream held after the feed was subscribed.
        """
        events = self._decode(self._in_order(said))
        idle = False
        while True:
            closed = bool(events) and isinstance(events[-1][1], Closed)
            events = self._close(events) if closed else self._new(events)
            if events or idle:
                yield events
            self._given = max([self._given, *(seq for seq, _ in events)])
            self._ended = self._ended or any(isinstance(event, Finished | Failed) for _, event in events)
            if closed:
                return
            if self._feed.overrun:
                log.warning("stream.reader_too_slow", run=str(self._run))
                return
            entries = self._feed.take()
            idle = not entries
            events = self._decode(self._in_order(entries)) if entries else self._look()

    def _look(self) -> list[Numbered]:
        """What the feed did not say: from the stream, or from the database once the run has ended there."""
        try:
            record = self._find()
            entries = read_events(self._redis, self._run, self._last)
        except HeliconError as error:
            log.warning("stream.away", run=str(self._run), error=error.message)
            return []
        events = self._decode(self._in_order(entries))
        if record is None or not record.state.final or (events and isinstance(events[-1][1], Closed)):
            return events
        log.warning("stream.end_from_database", run=str(self._run))
        return [*events, *self._end(record)]

    def _end(self, record: RunRecord) -> list[Numbered]:
        """The rest of an answer and its end, numbered so that the reader does not take them for what it has."""
        rest: list[Event] = [record.event]
        if self._ended:
            rest = []
        elif record.answer and (self._hole or not self._length_known or self._last.seq < self._after):
            rest = [Replaced(record.answer, "lost"), record.event]
        elif record.answer[self._length :]:
            rest = [Text(record.answer[self._length :]), record.event]
        had = max(self._last.seq, self._after, self._given)
        return list(enumerate([*rest, Closed()], had + 1))

    def _new(self, events: list[Numbered]) -> list[Numbered]:
        """`events` without numbers that were given before: Redis lost those, and a newer attempt took them again."""
        return [event for event in events if event[0] > self._given]

    def _close(self, events: list[Numbered]) -> list[Numbered]:
        """The last events: with the whole answer before its end, where it has a hole."""
        again = events[-1][0] <= self._after or events[-_END:][0][0] <= self._given
        if not (again or self._hole):
            return events
        try:
            record = self._find()
        except HeliconError as error:
            log.warning("stream.away", run=str(self._run), error=error.message)
            return events
        if record is not None and again:
            return self._end(record)  # as numbered here, the reader would take it for what it has
        if record is None or not record.answer or len(events) < _END:
            return events
        seq, _ = events[-_END]
        # Numbered like the event before the end: a reader that has it, and breaks off there, still wants the end.
        return [*events[:-_END], (seq - 1, Replaced(record.answer, "lost")), *events[-_END:]]

    def _in_order(self, entries: list[Entry]) -> list[Entry]:
        """`entries` without those that are not after the last, and with those that are missing between."""
        kept: list[Entry] = []
        for entry in entries:
            place = entry[0]
            if is_fence(entry):
                self._fence = max(self._fence, place.attempt)
                continue
            if place <= self._last or place.attempt < self._fence:
                continue
            if place.seq > self._last.seq + 1:
                kept += self._missing(place)
            elif place.seq <= self._last.seq:
                self._hole = True  # a newer attempt knows less than was said
            kept.append(entry)
            self._last = place
        return kept

    def _missing(self, before: Place) -> list[Entry]:
        try:
            said = read_events(self._redis, self._run, self._last)
            entries = [entry for entry in said if entry[0] < before and not is_fence(entry)]
        except HeliconError:
            entries = []
        had = max(self._after, self._last.seq)
        filled = sum(place.seq > had for place, _ in entries)
        self._hole = self._hole or filled < before.seq - 1 - had
        self._length_known = self._length_known and len(entries) == before.seq - 1 - self._last.seq
        log.info("stream.gap", run=str(self._run), after=str(self._last), before=str(before), filled=len(entries))
        return entries

    def _decode(self, entries: list[Entry]) -> list[Numbered]:
        events: list[Numbered] = []
        for place, payload in entries:
            event = decode(payload)
            if event is None:
                log.info("stream.unknown_event", run=str(self._run))
                continue
            if isinstance(event, Text):
                self._length += len(event.text)
            events.append((place.seq, event))
        return events


def rebuild(record: RunRecord, after: int) -> Iterator[list[Numbered]]:
    """The events of a run that has ended, made from its message: the whole answer at once, and the end.

    Args:
        record: the run.
        after: `seq` of the last event that the reader has; 0 for none. One that has some is given the whole answer in
            place of it: nobody knows any more which part it has.
    """
    answer: list[Event] = []
    if record.answer:
        answer.append(Replaced(record.answer, "expired") if after else Text(record.answer))
    yield list(enumerate([*answer, record.event, Closed()], after + 1))
