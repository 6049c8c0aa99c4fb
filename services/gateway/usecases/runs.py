"""Runs, as both surfaces use them: begun, followed, found again, stopped."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

import structlog
import uuid_utils.compat as uuids
from redis import Redis

from services.gateway.streaming.relay import Relay
from services.gateway.streaming.runstream import Numbered, RunIds, follow, rebuild
from services.gateway.usecases.chats import PreparedChat, Question
from shared.bus.event_log import append_events, read_events
from shared.bus.stops import request_stop
from shared.contracts.events import Closed
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState
from shared.domain.titles import cut_title
from shared.queue import TaskQueue
from shared.store.engine import Database
from shared.store.runs import NewRun, RunEnd, RunRecord, StartedRun, find_run, settle_run, start_run

log = structlog.get_logger()

CHAT_QUEUE = "chat"


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for a request, and the SHA-256 of what it asks."""

    key: str
    body_sha256: bytes


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


class Runs:
    """What can be done with runs.

    Args:
        database: where runs are kept.
        redis: where their events are kept.
        relay: where their events come from.
        queue: where workers take them from.
        event_seconds: how long a run's events are kept after its end.
    """

    def __init__(self, database: Database, redis: Redis, relay: Relay, queue: TaskQueue, event_seconds: int) -> None:
        self._database = database
        self._redis = redis
        self._relay = relay
        self._queue = queue
        self._event_seconds = event_seconds

    def start(self, question: Question, chat: PreparedChat, idempotency: Idempotency | None = None) -> RunStream:
        """Begin a run, or join the one that the idempotency key began, and follow it from its first event.

        Raises:
            HeliconError: NOT_FOUND, the conversation; QUOTA_EXCEEDED; CONFLICT, the key was used for another body;
                QUEUE_UNAVAILABLE, EVENTS_UNAVAILABLE, DATABASE_WRITE_FAILED: nothing is paid.
        """
        new = _new_run(question, chat, idempotency)
        with ExitStack() as stack:
            # Listening before the run can say anything, so that no event is missed.
            feed = stack.enter_context(self._relay.listen(new.run))
            started = start_run(self._database, new)
            _refuse(started, question)
            if started.outcome == "joined":
                return self.resume(question.app.id, question.user, started.run)
            self._send(new)
            ids = RunIds(started.run, started.message, started.conversation, started.created_at)
            batches = follow(feed, self._redis, new.run, [])
            return RunStream(ids, batches, stack.pop_all().close)

    def resume(self, app: UUID, user: str, run: UUID, after: int = 0) -> RunStream:
        """Follow a run from the event after `after` on: what it said already, then what it says.

        Raises:
            HeliconError: NOT_FOUND, the user has no such run; EVENTS_UNAVAILABLE, DATABASE_READ_FAILED.
        """
        with ExitStack() as stack:
            feed = stack.enter_context(self._relay.listen(run))
            record = self._find(app, user, run)
            if record is None:
                raise HeliconError(ErrorCode.NOT_FOUND, "Task not found.")
            said = read_events(self._redis, run)
            if record.state.final and not said:
                batches = rebuild(record, after)
            else:
                batches = follow(feed, self._redis, run, said)
            return RunStream(_ids_of(record), batches, stack.pop_all().close, after)

    def replay(self, record: RunRecord) -> RunStream:
        """A run that had ended before anyone could follow it."""
        return RunStream(_ids_of(record), rebuild(record, 0), lambda: None)

    def stop(self, app: UUID, user: str, run: UUID) -> None:
        """Stop a run: one that is queued never starts, one that runs is cut; nothing where it is not the user's.

        Raises:
            HeliconError: EVENTS_UNAVAILABLE, DATABASE_READ_FAILED, DATABASE_WRITE_FAILED.
        """
        record = self._find(app, user, run)
        if record is None or record.state.final:
            return
        if record.state is RunState.QUEUED:
            end = RunEnd(RunState.STOPPED)
            if settle_run(self._database, run, record.attempt, end, since=RunState.QUEUED):
                append_events(self._redis, run, record.attempt + 1, [end.event, Closed()], self._event_seconds)
                return
        request_stop(self._redis, run)

    def _find(self, app: UUID, user: str, run: UUID) -> RunRecord | None:
        with self._database.read() as session:
            return find_run(session, app, user, run)

    def _send(self, new: NewRun) -> None:
        try:
            self._queue.send(new.queue, new.run)
        except HeliconError as error:
            end = RunEnd(RunState.FAILED, error_code=error.code, error=error.message)
            settle_run(self._database, new.run, 0, end, since=RunState.QUEUED)
            raise


def _new_run(question: Question, chat: PreparedChat, idempotency: Idempotency | None) -> NewRun:
    return NewRun(
        app=question.app.id,
        user=question.user,
        grant=chat.grant,
        quota=chat.quota,
        surface=question.surface,
        conversation=question.conversation,
        new_conversation=uuids.uuid7(),
        name=cut_title(question.query),
        inputs=chat.inputs,
        message=uuids.uuid7(),
        query=question.query,
        run=uuids.uuid7(),
        queue=CHAT_QUEUE,
        job=chat.job,
        bound=chat.bound,
        idempotency_key=idempotency.key if idempotency else None,
        body_sha256=idempotency.body_sha256 if idempotency else None,
    )


def _refuse(started: StartedRun, question: Question) -> None:
    match started.outcome:
        case "conversation_not_found":
            raise HeliconError(ErrorCode.NOT_FOUND, "Conversation not found.")
        case "key_conflict":
            raise HeliconError(ErrorCode.CONFLICT, "This Idempotency-Key was used with another body within 24 hours.")
        case "quota_exceeded":
            used = started.granted - started.available
            raise HeliconError(
                ErrorCode.QUOTA_EXCEEDED,
                f"The tokens of {question.user!r} are spent: {used} used, {started.available} left, "
                f"{started.granted} granted.",
            )
        case "started" | "joined":
            return


def _ids_of(record: RunRecord) -> RunIds:
    return RunIds(record.id, record.message, record.conversation, record.created_at)
