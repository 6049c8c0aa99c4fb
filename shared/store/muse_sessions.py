"""A user's session on the Muse surface: where they are, what they used, what they asked last, and a clean slate."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shared.domain.ledger import EntryKind
from shared.domain.runs import RecordType, Surface
from shared.store.models import Conversation, McpServer, Message, User
from shared.store.records import delete_records

SHARDS = 32
"""Over which an app's counts of records are spread (`migrations/sql/0003_records.sql`)."""

_USED = text("""\
SELECT coalesce(sum(tokens) FILTER (WHERE created_at >= today), 0),
       coalesce(sum(tokens) FILTER (WHERE created_at >= today - interval '6 days'), 0),
       coalesce(sum(tokens) FILTER (WHERE created_at >= today - interval '29 days'), 0),
       coalesce(sum(tokens), 0)
  FROM ledger, (SELECT date_trunc('day', now(), 'UTC') AS today) AS days
 WHERE owner = :owner AND kind <> :overrun
""")

_COUNT_NOTHING = text("""\
INSERT INTO record_counts AS c (app_id, owner, record_type, is_deleted, shard, records)
VALUES (:app, 0, :type, false, :shard, 0)
ON CONFLICT (app_id, owner, record_type, is_deleted, shard) DO UPDATE SET records = c.records
""")


@dataclass(frozen=True, slots=True)
class UsedTokens:
    """Tokens that a user used: today, in 7 days, in 30 days (days of UTC, today among them), and in all."""

    today: int
    week: int
    month: int
    total: int


@dataclass(frozen=True, slots=True)
class CurrentConversation:
    """The conversation that a user's prompts go on in; `turns` that were not deleted, commands aside."""

    title: str
    turns: int


@dataclass(frozen=True, slots=True)
class LastQuestion:
    """What a user asked last."""

    message: UUID
    conversation: UUID
    query: str


def read_used(session: Session, owner: int) -> UsedTokens:
    """What a user used. An overrun is not counted by itself: its settlement tells it too."""
    row = session.execute(_USED, {"owner": owner, "overrun": EntryKind.OVERRUN}).one()
    return UsedTokens(*map(int, row))


def read_current_conversation(session: Session, owner: int) -> CurrentConversation | None:
    """Where a user is; None where no conversation is open."""
    turns = (
        select(func.count())
        .where(
            Message.conversation_id == Conversation.id,
            Message.record_type != RecordType.COMMAND,
            Message.is_deleted.is_(False),
        )
        .scalar_subquery()
    )
    query = (
        select(Conversation.name, turns)
        .join(User, User.current_conversation == Conversation.id)
        .where(User.id == owner, Conversation.deleted_at.is_(None))
    )
    row = session.execute(query).one_or_none()
    return None if row is None else CurrentConversation(*row)


def enabled_servers(session: Session) -> list[str]:
    """Names of the MCP servers that are not disabled."""
    return list(session.scalars(select(McpServer.name).where(McpServer.disabled.is_(False)).order_by(McpServer.name)))


def find_last_question(session: Session, app: UUID, user: str) -> LastQuestion | None:
    """The last chat turn of a user's current conversation that was not deleted, however it ended."""
    query = (
        select(Message.id, Message.conversation_id, Message.query)
        .join(User, User.current_conversation == Message.conversation_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(
            User.app_id == app,
            User.user_id == user,
            Conversation.deleted_at.is_(None),
            Message.record_type == RecordType.TEXT,
            Message.is_deleted.is_(False),
        )
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else LastQuestion(*row)


def clear_records(session: Session, app: UUID, owner: int) -> int:
    """Mark all records of a user's conversations on the Muse surface as deleted; how many there were.

    In the same transaction a record of the command will be added, and counted. The row that counts it is taken first
    (after the user's), as the order of these rows wants it: transactions wait for each other, but never in a ring.
    """
    session.execute(select(User.id).where(User.id == owner).with_for_update(key_share=True))
    session.execute(_COUNT_NOTHING, {"app": app, "type": RecordType.COMMAND, "shard": owner % SHARDS})
    return delete_records(session, owner, surface=Surface.MUSE)
