"""What is kept of users, their tokens, messages, runs and events, and of changes."""

from typing import Any, NamedTuple
from uuid import UUID

from redis import Redis
from sqlalchemy import func, select, text

from shared.bus.names import events_stream
from shared.domain.errors import HeliconError
from shared.store.engine import Database
from shared.store.models import App, AuditEntry, Conversation, LedgerEntry, Message, Run, User
from stack import wait_for

BOOKED = {"succeeded", "failed", "stopped"}


class Balance(NamedTuple):
    """A user's tokens: granted, left, and the sum of the ledger's amounts."""

    granted: int
    left: int
    ledger: int


class Saved(NamedTuple):
    """A message as it is kept."""

    state: str
    query: str
    answer: str
    error_code: str | None
    tokens: int


def balance(database: Database, user: str) -> Balance:
    """The balance of the only user of that name."""
    total = select(func.coalesce(func.sum(LedgerEntry.amount), 0)).where(LedgerEntry.owner == User.id)
    query = select(User.token, User.avail_token, total.scalar_subquery()).where(User.user_id == user)
    with database.read() as session:
        granted, left, ledger = session.execute(query).one()
    return Balance(granted, left, int(ledger))


def ledger(database: Database, user: str) -> list[tuple[str, int, int]]:
    """Kind, amount and tokens of a user's changes, the oldest first."""
    query = (
        select(LedgerEntry.kind, LedgerEntry.amount, LedgerEntry.tokens)
        .join(User, User.id == LedgerEntry.owner)
        .where(User.user_id == user)
        .order_by(LedgerEntry.id)
    )
    with database.read() as session:
        return [(kind, amount, tokens) for kind, amount, tokens in session.execute(query)]


def saved(database: Database, message: str) -> Saved:
    query = select(Message.state, Message.query, Message.answer, Message.error_code, Message.tokens)
    with database.read() as session:
        return Saved(*session.execute(query.where(Message.id == UUID(message))).one())


def saved_of(database: Database, user: str) -> list[Saved]:
    """All messages of the users of that name, the oldest first."""
    query = (
        select(Message.state, Message.query, Message.answer, Message.error_code, Message.tokens)
        .join(User, User.id == Message.owner)
        .where(User.user_id == user)
        .order_by(Message.created_at, Message.id)
    )
    with database.read() as session:
        return [Saved(*row) for row in session.execute(query)]


def records_of(database: Database, user: str) -> list[tuple[str, str, bool]]:
    """Type, question and whether it is deleted of the records of the users of that name, the oldest first."""
    query = select(Message.record_type, Message.query, Message.is_deleted).join(User, User.id == Message.owner)
    with database.read() as session:
        return [tuple(row) for row in session.execute(query.where(User.user_id == user).order_by(Message.number))]


def has_ended(database: Database, message: str) -> bool:
    return saved(database, message).state in BOOKED


def attempts(database: Database, run: str) -> int:
    """How often a run was claimed by a worker."""
    with database.read() as session:
        return session.scalars(select(Run.attempt).where(Run.id == UUID(run))).one()


def name_of(database: Database, conversation: str) -> str:
    with database.read() as session:
        return session.scalars(select(Conversation.name).where(Conversation.id == UUID(conversation))).one()


def apps_of(database: Database, user: str) -> list[str]:
    """Names of the apps that have a user of that name."""
    query = select(App.name).join(User, User.app_id == App.id).where(User.user_id == user).order_by(User.id)
    with database.read() as session:
        return list(session.scalars(query))


def make_older(database: Database, table: str, column: str, value: str, hours: int) -> None:
    """Move `created_at` of the rows with that value into the past."""
    change = text(
        f"UPDATE {table} SET created_at = created_at - make_interval(hours => :hours) WHERE {column} = :value"
    )
    with database.write() as session:
        assert session.execute(change, {"hours": hours, "value": value}).rowcount > 0


def task_of(database: Database, query: str) -> str | None:
    """The only run that answers the message with that question."""
    statement = select(Run.id).join(Message, Message.id == Run.message_id).where(Message.query == query)
    with database.read() as session:
        run = session.scalars(statement).one_or_none()
    return None if run is None else str(run)


def kept_for(redis: Redis, run: str) -> int:
    """Seconds that a run's events are kept from its end on."""
    seconds = redis.ttl
    wait_for(lambda: seconds(events_stream(run)) <= 3600, "everything is said")
    return seconds(events_stream(run))


def forget_events(redis: Redis, run: str) -> None:
    """Remove a run's events, as time does, once all are said."""
    assert kept_for(redis, run) > 0
    redis.delete(events_stream(run))


def answers(database: Database) -> bool:
    """Whether the test's own pool has found out that Postgres was restarted."""
    try:
        with database.read() as session:
            return session.scalar(select(1)) == 1
    except HeliconError:
        return False


class Audited(NamedTuple):
    """A change as the audit has it; its actor is the prefix of a key."""

    actor: str
    action: str
    old: Any
    new: Any


def audit(database: Database, target: str) -> list[Audited]:
    """What administrators changed of something, the oldest first."""
    query = select(AuditEntry.actor, AuditEntry.action, AuditEntry.old, AuditEntry.new)
    with database.read() as session:
        rows = session.execute(query.where(AuditEntry.target == target).order_by(AuditEntry.id))
        return [Audited(*row) for row in rows]
