"""End users of apps, and what they have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shared.domain.errors import HeliconError
from shared.domain.ledger import EntryKind
from shared.store.engine import Database
from shared.store.models import App, LedgerEntry, Run, User
from shared.store.pages import Page

MOST_TOKENS = 10**18
"""Of a user. The database's numbers end a little above."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user, read. `token`: granted in all; `avail_token`: left."""

    id: int
    app: str
    user_id: str
    token: int
    avail_token: int
    updated_at: datetime


class Tokens(NamedTuple):
    """A user's tokens: granted in all, and left."""

    granted: int
    left: int


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users are wanted, and how their modes are shown: see `list_users` in `migrations/sql`."""

    app: UUID
    user_id: str | None
    skip: int
    take: int
    mode: str
    modes: Sequence[str] | None


def read_users(database: Database, wanted: UserFilter) -> Page:
    """A page of an app's users as the Muse API shows them, the newest first.

    Raises:
        HeliconError: DATABASE_READ_FAILED.
    """
    return Page(*database.call("SELECT * FROM list_users(%s::jsonb)", wanted, reads=True))


def see_user(session: Session, app: UUID, user: str, grant: int) -> int:
    """The id of the user of that name, made with its grant at first sight."""
    row = session.execute(
        text("SELECT id FROM see_user(:app, :user, :grant)"), {"app": app, "user": user, "grant": grant}
    )
    return row.scalar_one()


def list_users(
    session: Session, *, app: str | None = None, user: str | None = None, limit: int = 100
) -> list[UserRecord]:
    """Users, those changed last first."""
    query = (
        select(User.id, App.name, User.user_id, User.token, User.avail_token, User.updated_at)
        .join(App, App.id == User.app_id)
        .order_by(User.updated_at.desc(), User.id.desc())
        .limit(limit)
    )
    if app is not None:
        query = query.where(App.name == app)
    if user is not None:
        query = query.where(User.user_id == user)
    return [UserRecord(*row) for row in session.execute(query)]


def grant_tokens(session: Session, app: UUID, user: str, tokens: int, *, first_grant: int, note: str) -> Tokens:
    """Give `tokens` to a user (a negative number takes them back), who is made first if it was not seen before.

    Returns:
        What the user had just before.

    Raises:
        HeliconError: INVALID_PARAM, the user has fewer than are taken back, or would have more than can be counted;
            nothing was changed.
    """
    row = _see_and_lock(session, app, user, first_grant)
    before = Tokens(row.token, row.avail_token)
    if before.left + tokens < 0:
        raise HeliconError.invalid(f"token: {user} has {before.left} tokens left, {-tokens} can't be taken back")
    if before.granted + tokens > MOST_TOKENS:
        raise HeliconError.invalid(f"token: {user} has {before.granted} tokens, a user can have {MOST_TOKENS} at most")
    row.token += tokens
    row.avail_token += tokens
    row.updated_at = func.now()
    session.add(LedgerEntry(owner=row.id, kind=EntryKind.GRANT, amount=tokens, note=note))
    session.flush()
    return before


def choose_mode(session: Session, app: UUID, user: str, mode: str, *, first_grant: int) -> str:
    """Let a user's chats run on the model of that name; the user is made first if it was not seen before.

    Returns:
        The mode that the user had before.
    """
    row = _see_and_lock(session, app, user, first_grant)
    before, row.mode = row.mode, mode
    row.updated_at = func.now()
    session.flush()
    return before


def read_mode(session: Session, app: UUID, user: str) -> str:
    """The model that a user chose, "" where they chose none or were never seen."""
    return session.scalar(select(User.mode).where(User.app_id == app, User.user_id == user)) or ""


def _see_and_lock(session: Session, app: UUID, user: str, grant: int) -> User:
    mine = select(User).where(User.id == see_user(session, app, user, grant))
    return session.scalars(mine.with_for_update().execution_options(populate_existing=True)).one()


def read_tokens(session: Session, owner: int) -> Tokens:
    """The tokens of the user of that id."""
    return Tokens(*session.execute(select(User.token, User.avail_token).where(User.id == owner)).one())


def read_balance(session: Session, run: UUID) -> tuple[int, int]:
    """What the user of a run was granted in all, and has left."""
    query = select(User.token, User.avail_token).join(Run, Run.owner == User.id).where(Run.id == run)
    granted, available = session.execute(query).one()
    return granted, available


def list_ledger(session: Session, user: int, *, limit: int = 50) -> Sequence[LedgerEntry]:
    """The newest changes of a user's tokens, the newest first."""
    return session.scalars(
        select(LedgerEntry).where(LedgerEntry.owner == user).order_by(LedgerEntry.id.desc()).limit(limit)
    ).all()
