"""Runs: begun, claimed, ended. Each transition is a compare-and-set on the run's row.

`start_run` and `settle_run` are SQL functions (`migrations/sql`), because every chat goes through them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb
from sqlalchemy import case, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.contracts.events import Failed, Finished, Usage, last_event
from shared.contracts.jobs import ChatJob
from shared.domain.context import Turn
from shared.domain.runs import RecordType, RunKind, RunState, Surface
from shared.store.engine import Database
from shared.store.models import Message, Run, User

_START = (
    "SELECT * FROM start_run(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_SETTLE = "SELECT settle_run(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class NewRun:
    """What `start_run` needs to know.

    `grant` is what a new user gets; `bound` the most that the call may cost in tokens without the earlier turns.
    `conversation` None: a new one, or the user's current one on the Muse surface.
    """

    app: UUID
    user: str
    grant: int
    quota: bool
    surface: Surface
    conversation: UUID | None
    new_conversation: UUID
    name: str
    inputs: Mapping[str, str]
    message: UUID
    query: str
    run: UUID
    queue: str
    job: ChatJob
    bound: int
    idempotency_key: str | None = None
    body_sha256: bytes | None = None


Outcome = Literal["started", "joined", "key_conflict", "conversation_not_found", "quota_exceeded"]


@dataclass(frozen=True, slots=True)
class StartedRun:
    """What became of it. Unless `outcome` is "started" or "joined" the ids are None; `available` is tokens left."""

    outcome: Outcome
    run: UUID
    message: UUID
    conversation: UUID
    created_at: datetime
    granted: int
    available: int


def start_run(database: Database, new: NewRun) -> StartedRun:
    """Find or make user and conversation, reserve tokens, insert message and run, in one round trip.

    Raises:
        HeliconError: DATABASE_WRITE_FAILED.
    """
    job = new.job
    parameters = (
        new.app, new.user, new.grant, new.quota, new.surface,
        new.conversation, new.new_conversation, new.name, Jsonb(dict(new.inputs)),
        new.message, RecordType.TEXT, new.query,
        new.run, RunKind.CHAT, new.queue, Jsonb(job.model_dump(mode="json"), dumps=orjson.dumps),
        new.bound, job.history_turns, job.history_seconds, job.context,
        new.idempotency_key, new.body_sha256,
    )  # fmt: skip
    try:
        return _call_start_run(database, parameters)
    except IntegrityError:
        # Another request with the same idempotency key was first: its run is there now.
        return _call_start_run(database, parameters)


def _call_start_run(database: Database, parameters: tuple[Any, ...]) -> StartedRun:
    with database.call() as connection:
        return StartedRun(*connection.exec_driver_sql(_START, parameters).one())


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that this attempt of a worker may execute; `reserved` is tokens, None where quota is off."""

    id: UUID
    attempt: int
    message: UUID
    conversation: UUID
    job: ChatJob
    reserved: int | None


def claim_run(database: Database, run: UUID) -> ClaimedRun | None:
    """Take a queued run; None where another worker has it, or it ended."""
    statement = (
        update(Run)
        .where(Run.id == run, Run.state == RunState.QUEUED)
        .values(state=RunState.RUNNING, attempt=Run.attempt + 1, started_at=func.now())
        .returning(*_CLAIM)
    )
    with database.call() as connection:
        row = connection.execute(statement).one_or_none()
    return _claimed(*row) if row is not None else None


def load_run(session: Session, run: UUID) -> ClaimedRun | None:
    """A run as whoever claimed it last has it; None where there is none."""
    row = session.execute(select(*_CLAIM).where(Run.id == run)).one_or_none()
    return _claimed(*row) if row is not None else None


_CLAIM = (
    Run.id,
    Run.attempt,
    Run.message_id,
    Run.conversation_id,
    Run.job,
    case((Run.quota, Run.reserved), else_=None),
)


def _claimed(
    run: UUID, attempt: int, message: UUID, conversation: UUID, job: dict[str, Any], reserved: int | None
) -> ClaimedRun:
    return ClaimedRun(run, attempt, message, conversation, ChatJob.model_validate(job), reserved)


def load_turns(session: Session, run: ClaimedRun, *, turns: int, since: datetime | None) -> list[Turn]:
    """The conversation's earlier turns that say something, at most `turns` of them, oldest first."""
    query = (
        select(Message.query, Message.answer, Message.context_tokens)
        .where(Message.conversation_id == run.conversation, Message.id != run.message, Message.context_tokens > 0)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(turns)
    )
    if since is not None:
        query = query.where(Message.created_at > since)
    return [Turn(*row) for row in session.execute(query)][::-1]


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Made:
    """What a run has made so far, and what it costs. No tokens in `usage`: nothing, and the reserve comes back whole.

    `context_tokens`: what it costs to show the turn to a model again; `price` is in the usage's currency.
    """

    answer: str = ""
    usage: Usage = NO_USAGE
    context_tokens: int = 0
    provider: str | None = None
    model: str | None = None
    price: Decimal = Decimal(0)


NOTHING = Made()


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, and what it made. `error_code` and `error` belong to a run that failed."""

    state: RunState
    made: Made = NOTHING
    error_code: str | None = None
    error: str | None = None

    @property
    def event(self) -> Finished | Failed:
        """What the run says last."""
        return last_event(self.state, self.made.usage, self.error_code, self.error)


def settle_run(database: Database, run: UUID, attempt: int, end: RunEnd, *, since: RunState = RunState.RUNNING) -> bool:
    """End a run: its state, the ledger and the message, in one round trip.

    Args:
        database: where the run is.
        run: its id.
        attempt: the attempt that ends it.
        end: how.
        since: the state that it must still be in.

    Returns:
        False, and nothing was written, where the run has ended already or is another attempt's.

    Raises:
        HeliconError: DATABASE_WRITE_FAILED.
    """
    made, usage = end.made, end.made.usage
    parameters = (
        run, attempt, since, end.state,
        made.answer, end.error_code, end.error, Jsonb(asdict(usage)), made.context_tokens,
        made.provider, made.model, usage.prompt_tokens, usage.completion_tokens,
        made.price, usage.currency, usage.estimated,
    )  # fmt: skip
    with database.call() as connection:
        return bool(connection.exec_driver_sql(_SETTLE, parameters).scalar_one())


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run and its message, as the surfaces show them."""

    id: UUID
    state: RunState
    attempt: int
    message: UUID
    conversation: UUID
    created_at: datetime
    answer: str
    error_code: str | None
    error: str | None
    usage: Usage

    @property
    def event(self) -> Finished | Failed:
        """What the run said last. For a run that has ended."""
        return last_event(self.state, self.usage, self.error_code, self.error)


def find_run(session: Session, app: UUID, user: str, run: UUID) -> RunRecord | None:
    """The user's run of that id; None where it is nobody's or another's."""
    mine = _RECORDS.join(User, User.id == Run.owner).where(Run.id == run, Run.app_id == app, User.user_id == user)
    row = session.execute(mine).one_or_none()
    return _record(*row) if row is not None else None


def read_runs(session: Session, runs: Sequence[UUID]) -> list[RunRecord]:
    """The runs of those ids, whosever they are."""
    return [_record(*row) for row in session.execute(_RECORDS.where(Run.id.in_(runs)))]


_RECORDS = select(
    Run.id,
    Run.state,
    Run.attempt,
    Message.id,
    Message.conversation_id,
    Message.created_at,
    Message.answer,
    Message.error_code,
    Message.error,
    Message.usage,
).join(Message, Message.id == Run.message_id)


def _record(
    run: UUID, state: str, attempt: int, message: UUID, conversation: UUID, created_at: datetime,
    answer: str, error_code: str | None, error: str | None, usage: dict[str, Any] | None,
) -> RunRecord:  # fmt: skip
    ended = Usage(**(usage or {}))
    return RunRecord(run, RunState(state), attempt, message, conversation, created_at, answer, error_code, error, ended)
