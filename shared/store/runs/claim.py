"""Taking a run: what a worker needs to execute it. `claim_run` is a SQL function: every chat goes through it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.context import Turn
from shared.store.engine import Database

_CLAIM = "SELECT * FROM claim_run(%s::jsonb)"
_LOAD = text("SELECT * FROM load_run(:run)")


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that this attempt of a worker may execute.

    `job` is as the gateway wrote it (`shared.contracts.jobs.parse_job`); `reserved` is tokens, None where quota is off;
    `turns` are the conversation's earlier ones that the job wants to see, oldest first.
    """

    id: UUID
    attempt: int
    message: UUID
    conversation: UUID
    job: Mapping[str, Any]
    reserved: int | None
    turns: tuple[Turn, ...] = ()


def claim_run(database: Database, run: UUID, claim: UUID) -> ClaimedRun | None:
    """Take a queued run; None where another worker has it, or it ended.

    Args:
        database: where the run is.
        run: its id.
        claim: made up by the worker: with the same one it may ask again when the answer was lost.

    Raises:
        HeliconError: DATABASE_WRITE_FAILED.
    """
    return _read(database.call(_CLAIM, {"run": run, "claim": claim}))


def load_run(session: Session, run: UUID) -> ClaimedRun | None:
    """A run as whoever claimed it last has it; None where there is none."""
    return _read(tuple(session.execute(_LOAD, {"run": run}).one()))


def _read(row: tuple[Any, ...]) -> ClaimedRun | None:
    run, *fields, turns = row
    return ClaimedRun(run, *fields, turns=tuple(Turn(*turn) for turn in turns)) if run is not None else None
