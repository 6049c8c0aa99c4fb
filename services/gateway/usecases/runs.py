"""Runs of every kind: begun, followed, found again, stopped."""

from contextlib import ExitStack
from uuid import UUID

import structlog
import uuid_utils.compat as uuids
from redis import Redis

from services.gateway.streaming.relay import Relay
from services.gateway.streaming.runstream import Follower, RunIds, RunStream, rebuild
from services.gateway.usecases.queues import QueueLimit
from shared.bus.event_log import append_events, fence_off, read_events
from shared.bus.stops import request_stop
from shared.contracts.events import Closed
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState
from shared.queue import TaskQueue
from shared.store.engine import Database
from shared.store.runs.read import RunRecord, find_run
from shared.store.runs.settle import RunEnd, settle_run
from shared.store.runs.start import NewRun, StartedRun, forget_idempotency_key, start_run

log = structlog.get_logger()


class Runs:
    """What can be done with runs.

    Args:
        database: where runs are kept.
        redis: where their events are kept.
        relay: where their events come from.
        queue: where workers take them from.
        limit: how long a queue may be.
        event_seconds: how long a run's events are kept after its end.
    """

    def __init__(
        self,
        database: Database,
        redis: Redis,
        relay: Relay,
        queue: TaskQueue,
        limit: QueueLimit,
        event_seconds: int,
    ) -> None:
        self._database = database
        self._redis = redis
        self._relay = relay
        self._queue = queue
        self._limit = limit
        self._event_seconds = event_seconds

    def start(self, new: NewRun) -> RunStream:
        """Begin a run, or join the one that the idempotency key began, and follow it from its first event.

        Raises:
            HeliconError: NOT_FOUND, the conversation; QUOTA_EXCEEDED; TOO_MANY_CHATS; CONFLICT, the key was used for
                another body, or the message that is to be replaced is still answered; QUEUE_FULL;
                QUEUE_UNAVAILABLE, EVENTS_UNAVAILABLE, DATABASE_WRITE_FAILED: as far as anyone
                knows, nothing is paid.
        """
        self._limit.take_place(new.queue)
        with ExitStack() as stack:
            # Listening before the run can say anything, so that no event is missed.
            feed = stack.enter_context(self._relay.listen(new.run))
            started = start_run(self._database, new)
            _refuse(started, new)
            if started.outcome == "joined":
                return self.resume(new.app, new.user_id, started.run)
            self._send(new)
            ids = RunIds(started.run, started.message, started.conversation, started.created_at)
            follower = Follower(feed, self._redis, new.run, lambda: self._find(new.app, new.user_id, new.run))
            return RunStream(ids, follower.follow([]), stack.pop_all().close)

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
                follower = Follower(feed, self._redis, run, lambda: self._find(app, user, run), after)
                batches = follower.follow(said)
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
        end = RunEnd(RunState.STOPPED)
        if record.state is RunState.QUEUED and self._end_queued(run, record.attempt, end):
            attempt = record.attempt + 1
            said = fence_off(self._redis, run, attempt)
            append_events(self._redis, run, attempt, said, [end.event, Closed()], self._event_seconds)
        else:
            request_stop(self._redis, run)

    def _find(self, app: UUID, user: str, run: UUID) -> RunRecord | None:
        with self._database.read() as session:
            return find_run(session, app, user, run)

    def _send(self, new: NewRun) -> None:
        """Put the run into its queue; where that fails it is ended, unless a worker has it after all."""
        try:
            self._queue.send(new.queue, new.run)
        except HeliconError as error:
            end = RunEnd(RunState.FAILED, error_code=error.code, error=error.message)
            if self._end_queued(new.run, 0, end):
                forget_idempotency_key(self._database, new.run)
                raise

    def _end_queued(self, run: UUID, attempt: int, end: RunEnd) -> bool:
        settled = settle_run(self._database, run, attempt, end, uuids.uuid7(), since=RunState.QUEUED)
        return settled == "settled"


def _refuse(started: StartedRun, new: NewRun) -> None:
    user = new.user_id
    match started.outcome:
        case "conversation_not_found":
            raise HeliconError(ErrorCode.NOT_FOUND, "Conversation not found.")
        case "key_conflict":
            raise HeliconError(ErrorCode.CONFLICT, "This Idempotency-Key was used with another body within 24 hours.")
        case "too_many":
            words = f"{user!r} has {new.parallel} chats that are still answered, as many as are allowed at once. Wait."
            raise HeliconError(ErrorCode.TOO_MANY_CHATS, f"{words} Tokens: {_tokens(started)}.", retry_after=2)
        case "quota_exceeded":
            raise HeliconError(ErrorCode.QUOTA_EXCEEDED, f"The tokens of {user!r} are spent: {_tokens(started)}.")
        case "not_replaced":
            raise HeliconError(ErrorCode.CONFLICT, "The last question is being answered: wait, or stop it.")
        case "started" | "joined":
            return


def _tokens(started: StartedRun) -> str:
    used = started.granted - started.available
    return f"{used} used, {started.available} left, {started.granted} granted"


def _ids_of(record: RunRecord) -> RunIds:
    return RunIds(record.id, record.message, record.conversation, record.created_at)
