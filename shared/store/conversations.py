"""Conversations, and turns that no worker answers."""

from dataclasses import dataclass
from uuid import UUID

import uuid_utils.compat as uuids
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.contracts.events import Usage
from shared.contracts.jobs import CommandJob
from shared.domain.runs import RecordType, RunKind, RunState, Surface
from shared.store.models import Conversation, Message, Run, User
from shared.store.runs import RunRecord
from shared.store.users import see_user


@dataclass(frozen=True, slots=True)
class CommandTurn:
    """A slash command of a user and the gateway's answer; `new_conversation`: it opens one. `grant` as in `NewRun`."""

    app: UUID
    user: str
    grant: int
    name: str
    query: str
    answer: str
    new_conversation: bool


def record_command(session: Session, turn: CommandTurn) -> RunRecord:
    """Keep a command and its answer as a turn of the user's current conversation, and as a run that has ended."""
    user = see_user(session, turn.app, turn.user, turn.grant)
    conversation = None if turn.new_conversation else _current_conversation(session, user)
    if conversation is None:
        conversation = _open_conversation(session, turn, user)
    message = Message(
        id=uuids.uuid7(), conversation_id=conversation, app_id=turn.app, owner=user, record_type=RecordType.COMMAND,
        query=turn.query, answer=turn.answer, state=RunState.SUCCEEDED,
    )  # fmt: skip
    session.add(message)
    session.flush()
    run = Run(
        id=uuids.uuid7(), kind=RunKind.COMMAND, queue="", state=RunState.SUCCEEDED, app_id=turn.app, owner=user,
        conversation_id=conversation, message_id=message.id, quota=False, finished_at=func.now(),
        job=CommandJob(query=turn.query).model_dump(mode="json"),
    )  # fmt: skip
    session.add(run)
    session.flush()
    return RunRecord(
        run.id, RunState.SUCCEEDED, 0, message.id, conversation, message.created_at, turn.answer, None, None, Usage()
    )


def _current_conversation(session: Session, user: int) -> UUID | None:
    query = (
        select(Conversation.id)
        .join(User, User.current_conversation == Conversation.id)
        .where(User.id == user, Conversation.deleted_at.is_(None))
    )
    return session.scalar(query)


def _open_conversation(session: Session, turn: CommandTurn, user: int) -> UUID:
    conversation = Conversation(
        id=uuids.uuid7(), app_id=turn.app, owner=user, surface=Surface.MUSE, name=turn.name, inputs={}
    )
    session.add(conversation)
    session.flush()
    session.execute(update(User).where(User.id == user).values(current_conversation=conversation.id))
    return conversation.id
