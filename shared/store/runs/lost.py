"""Runs that have not ended, as the keeper looks after them: found by age, queued again, sent again."""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from shared.domain.runs import RunState
from shared.store.engine import Database
from shared.store.models import Run


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended. `age`: seconds since it was queued, or claimed; `sends` as in the row."""

    id: UUID
    state: RunState
    attempt: int
    queue: str
    sends: int
    age: float


def open_runs(session: Session, state: RunState, *, older_than: float, limit: int | None = None) -> list[OpenRun]:
    """Runs that have been in `state` (queued or running) for more than `older_than` seconds, the oldest first."""
    since = Run.queued_at if state is RunState.QUEUED else Run.started_at
    age = func.extract("epoch", func.now() - since)
    query = (
        select(Run.id, Run.state, Run.attempt, Run.queue, Run.sends, age)
        .where(Run.state == state, Run.finished_at.is_(None), age > older_than)
        .order_by(since)
        .limit(limit)
    )
    return [
        OpenRun(run, RunState(state), attempt, queue, sends, float(seconds))
        for run, state, attempt, queue, sends, seconds in session.execute(query)
    ]


def take_over_run(database: Database, run: UUID, attempt: int) -> bool:
    """Take a running run away from an attempt that is gone: what it would still write is refused.

    Returns:
        Whether the next attempt is the caller's; False where the run is not that attempt's any more.
    """
    statement = (
        update(Run)
        .where(Run.id == run, Run.state == RunState.RUNNING, Run.attempt == attempt)
        .values(attempt=attempt + 1, claim=None)
    )
    with database.write() as session:
        return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1


def requeue_run(database: Database, run: UUID, attempt: int) -> bool:
    """Let a run that the caller took over be claimed again; False where it is not that attempt's any more."""
    statement = (
        update(Run)
        .where(Run.id == run, Run.state == RunState.RUNNING, Run.attempt == attempt)
        .values(state=RunState.QUEUED, queued_at=func.now(), sends=1)
    )
    with database.write() as session:
        return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1


def count_send(database: Database, run: OpenRun) -> bool:
    """Note that a queued run is sent once more; False where somebody else did, or it was claimed."""
    statement = (
        update(Run)
        .where(Run.id == run.id, Run.state == RunState.QUEUED, Run.sends == run.sends)
        .values(sends=run.sends + 1)
    )
    with database.write() as session:
        return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1
