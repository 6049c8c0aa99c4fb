"""Runs and their messages, as the surfaces and the keeper see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.orm import Session

from shared.contracts.events import Failed, Finished, Usage, last_event, read_usage
from shared.domain.runs import RunState
from shared.store.models import Message, Run, User


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run and its message."""

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


_RECORDS = select(
    Run.id,
    Run.state,
    Run.attempt,
    Message.id.label("message"),
    Message.conversation_id.label("conversation"),
    Message.created_at,
    Message.answer,
    Message.error_code,
    Message.error,
    Message.usage,
).join(Message, Message.id == Run.message_id)


def find_run(session: Session, app: UUID, user: str, run: UUID) -> RunRecord | None:
    """The user's run of that id; None where it is nobody's or another's."""
    mine = _RECORDS.join(User, User.id == Run.owner).where(Run.id == run, Run.app_id == app, User.user_id == user)
    row = session.execute(mine).mappings().one_or_none()
    return _record(row) if row is not None else None


def read_runs(session: Session, runs: Sequence[UUID]) -> list[RunRecord]:
    """The runs of those ids, whosever they are."""
    return [_record(row) for row in session.execute(_RECORDS.where(Run.id.in_(runs))).mappings()]


def _record(row: RowMapping) -> RunRecord:
    fields = cast("dict[str, Any]", dict(row))
    fields["state"] = RunState(fields["state"])
    fields["usage"] = read_usage(fields["usage"] or {})
    return RunRecord(**fields)
