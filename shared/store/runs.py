"""Runs: begun, claimed, ended. Each transition is a compare-and-set on the run's row.

`start_run` and `settle_run` are SQL functions (`migrations/sql`), because every chat goes through them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.contracts.events import Usage
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
        .returning(Run.attempt, Run.message_id, Run.conversation_id, Run.job, Run.quota, Run.reserved)
    )
    with database.call() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    job = ChatJob.model_validate(row.job)
    reserved = row.reserved if row.quota else None
    return ClaimedRun(run, row.attempt, row.message_id, row.conversation_id, job, reserved)


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
class RunEnd:
    """How a run ended.

    `context_tokens`: what it costs to show the turn to a model again; `price` in the usage's currency. No tokens in
    `usage`: nothing was made, and the reserve comes back whole.
    """

    state: RunState
    answer: str = ""
    error_code: str | None = None
    error: str | None = None
    usage: Usage = NO_USAGE
    context_tokens: int = 0
    provider: str | None = None
    model: str | None = None
    price: Decimal = Decimal(0)


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
    usage = end.usage
    parameters = (
        run, attempt, since, end.state,
        end.answer, end.error_code, end.error, Jsonb(asdict(usage)), end.context_tokens,
        end.provider, end.model, usage.prompt_tokens, usage.completion_tokens,
        end.price, usage.currency, usage.estimated,
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


def find_run(session: Session, app: UUID, user: str, run: UUID) -> RunRecord | None:
    """The user's run of that id; None where it is nobody's or another's."""
    query = (
        select(
            Run.id, Run.state, Run.attempt, Message.id, Message.conversation_id, Message.created_at,
            Message.answer, Message.error_code, Message.error, Message.usage,
        )
        .join(Message, Message.id == Run.message_id)
        .join(User, User.id == Run.owner)
        .where(Run.id == run, Run.app_id == app, User.user_id == user)
    )  # fmt: skip
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    run_id, state, attempt, message, conversation, created_at, answer, error_code, error, usage = row
    return RunRecord(
        run_id, RunState(state), attempt, message, conversation, created_at, answer, error_code, error,
        Usage(**(usage or {})),
    )  # fmt: skip
