"""Taking a run: what a worker needs to execute it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from shared.domain.context import Turn
from shared.domain.runs import RunState
from shared.store.engine import Database
from shared.store.models import Message, Run


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that this attempt of a worker may execute.

    `job` is as the gateway wrote it (`shared.contracts.jobs.parse_job`); `reserved` is tokens, None where quota is off.
    """

    id: UUID
    attempt: int
    message: UUID
    conversation: UUID
    job: Mapping[str, Any]
    reserved: int | None


_CLAIM = (
    Run.id,
    Run.attempt,
    Run.message_id,
    Run.conversation_id,
    Run.job,
    case((Run.quota, Run.reserved), else_=None),
)


def claim_run(database: Database, run: UUID, claim: UUID) -> ClaimedRun | None:
    """Take a queued run; None where another worker has it, or it ended.

    Args:
        database: where the run is.
        run: its id.
        claim: made up by the worker: with the same one it may ask again when the answer was lost.

    Raises:
        HeliconError: DATABASE_WRITE_FAILED.
    """
    queued = Run.state == RunState.QUEUED
    mine = and_(Run.state == RunState.RUNNING, Run.claim == claim)
    statement = (
        update(Run)
        .where(Run.id == run, or_(queued, mine))
        .values(
            state=RunState.RUNNING,
            attempt=Run.attempt + case((queued, 1), else_=0),
            claim=claim,
            started_at=func.now(),
        )
        .returning(*_CLAIM)
    )
    with database.call() as connection:
        row = connection.execute(statement).one_or_none()
    return ClaimedRun(*row) if row is not None else None


def load_run(session: Session, run: UUID) -> ClaimedRun | None:
    """A run as whoever claimed it last has it; None where there is none."""
    row = session.execute(select(*_CLAIM).where(Run.id == run)).one_or_none()
    return ClaimedRun(*row) if row is not None else None


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
