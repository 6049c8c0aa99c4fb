"""Conversations, and turns that no worker answers."""

from dataclasses import dataclass
from uuid import UUID

import uuid_utils.compat as uuids
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.contracts.jobs import CommandJob
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState, Surface
from shared.store.models import Conversation, Message, Run, User
from shared.store.runs.read import RunRecord, read_runs


@dataclass(frozen=True, slots=True)
class CommandTurn:
    """A slash command and the gateway's answer. `owner` is the user's id; `new_conversation`: it opens one."""

    app: UUID
    owner: int
    name: str
    query: str
    answer: str
    new_conversation: bool


def record_command(session: Session, turn: CommandTurn) -> RunRecord:
    """Keep a command and its answer as a turn of the user's current conversation, and as a run that has ended."""
    conversation = None if turn.new_conversation else _current_conversation(session, turn.owner)
    if conversation is None:
        conversation = _open_conversation(session, turn)
    job = CommandJob(query=turn.query)
    message = Message(
        id=uuids.uuid7(),
        conversation_id=conversation,
        app_id=turn.app,
        owner=turn.owner,
        record_type=job.record_type,
        query=turn.query,
        answer=turn.answer,
        state=RunState.SUCCEEDED,
    )
    session.add(message)
    session.flush()
    run = Run(
        id=uuids.uuid7(),
        kind=job.kind,
        queue=job.queue,
        state=RunState.SUCCEEDED,
        app_id=turn.app,
        owner=turn.owner,
        conversation_id=conversation,
        message_id=message.id,
        quota=False,
        finished_at=func.now(),
        job=job.model_dump(mode="json"),
    )
    session.add(run)
    session.flush()
    return read_runs(session, [run.id])[0]


def read_inputs(session: Session, app: UUID, user: str, conversation: UUID) -> dict[str, str]:
    """What filled the variables of the app's prompt when the user's conversation began.

    Raises:
        HeliconError: NOT_FOUND, the user has no such conversation.
    """
    inputs = session.scalar(
        select(Conversation.inputs)
        .join(User, User.id == Conversation.owner)
        .where(
            Conversation.id == conversation,
            Conversation.app_id == app,
            User.user_id == user,
            Conversation.deleted_at.is_(None),
        )
    )
    if inputs is None:
        raise HeliconError(ErrorCode.NOT_FOUND, "Conversation not found.")
    return inputs


def _current_conversation(session: Session, user: int) -> UUID | None:
    query = (
        select(Conversation.id)
        .join(User, User.current_conversation == Conversation.id)
        .where(User.id == user, Conversation.deleted_at.is_(None))
    )
    return session.scalar(query)


def _open_conversation(session: Session, turn: CommandTurn) -> UUID:
    conversation = Conversation(
        id=uuids.uuid7(), app_id=turn.app, owner=turn.owner, surface=Surface.MUSE, name=turn.name, inputs={}
    )
    session.add(conversation)
    session.flush()
    session.execute(update(User).where(User.id == turn.owner).values(current_conversation=conversation.id))
    return conversation.id
