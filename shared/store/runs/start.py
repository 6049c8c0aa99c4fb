"""Beginning a run. `start_run` is a SQL function (`migrations/sql`), because every chat goes through it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import delete, select

from shared.domain.runs import Surface
from shared.store.engine import Database, RefusedCallError
from shared.store.models import IdempotencyKey, Message, Run

_START = "SELECT * FROM start_run(%s::jsonb)"
UNIQUE_VIOLATION = "23505"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What `start_run` needs to know; the SQL function reads the fields by their names.

    `first_grant` is what a new user gets; `bound` the most that the call may cost in tokens without the earlier turns.
    `turns`, `seconds` and `context`: how many earlier turns the model may be shown, how old (None: any age), and how
    many tokens of them. `conversation` None: a new one, or the user's current one on the Muse surface. `body_sha256`
    (hex) tells whether the same idempotency key asks for the same. `parallel`: how many runs of the user may be open at
    once (0: any number). `replaces`: the message that this one is asked in place of, which is marked as deleted;
    one that is still answered, or deleted already, is not replaced.
    """

    app: UUID
    user_id: str
    first_grant: int
    quota: bool
    surface: Surface
    conversation: UUID | None
    new_conversation: UUID
    name: str
    inputs: Mapping[str, str]
    message: UUID
    record_type: str
    query: str
    run: UUID
    kind: str
    queue: str
    job: Mapping[str, Any]
    bound: int
    turns: int = 0
    seconds: int | None = None
    context: int = 0
    idempotency_key: str | None = None
    body_sha256: str | None = None
    parallel: int = 0
    replaces: UUID | None = None


Outcome = Literal[
    "started", "joined", "key_conflict", "conversation_not_found", "too_many", "quota_exceeded", "not_replaced"
]


@dataclass(frozen=True, slots=True)
class StartedRun:
    """What became of it. Unless `outcome` is "started" or "joined" the ids are None; tokens `available` are left."""

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
        HeliconError: DATABASE_WRITE_FAILED; as far as anyone knows, nothing was written.
    """
    try:
        started = StartedRun(*database.call(_START, new))
    except RefusedCallError as error:
        if error.state != UNIQUE_VIOLATION:
            raise
        # This run is there already: the call was made again on another connection. Or another request with the same
        # idempotency key was first: its run is there now.
        started = _find(database, new) or StartedRun(*database.call(_START, new))
    return replace(started, outcome="started") if started.run == new.run else started


def _find(database: Database, new: NewRun) -> StartedRun | None:
    query = select(Message.conversation_id, Message.created_at).join(Run).where(Run.id == new.run)
    with database.read() as session:
        row = session.execute(query).one_or_none()
    return StartedRun("started", new.run, new.message, *row, granted=0, available=0) if row else None


def forget_idempotency_key(database: Database, run: UUID) -> None:
    """Let the key that began `run` begin another one: this one never came to a worker."""
    with database.write() as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.run_id == run))
