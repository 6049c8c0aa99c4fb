"""End users of apps, and what they have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shared.domain.errors import HeliconError
from shared.domain.ledger import EntryKind
from shared.store.models import App, LedgerEntry, Run, User


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user, read. `token`: granted in all; `avail_token`: left."""

    id: int
    app: str
    user_id: str
    token: int
    avail_token: int
    updated_at: datetime


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


def grant_tokens(session: Session, app: UUID, user: str, tokens: int, *, first_grant: int, note: str) -> None:
    """Give `tokens` to a user (a negative number takes them back), who is made first if it was not seen before.

    Raises:
        HeliconError: INVALID_PARAM, the user has fewer than are taken back; nothing was changed.
    """
    key = see_user(session, app, user, first_grant)
    row = session.scalars(
        select(User).where(User.id == key).with_for_update().execution_options(populate_existing=True)
    ).one()
    if row.avail_token + tokens < 0:
        raise HeliconError.invalid(f"token: {user} has {row.avail_token} tokens left, {-tokens} can't be taken back")
    row.token += tokens
    row.avail_token += tokens
    row.updated_at = func.now()
    session.add(LedgerEntry(owner=key, kind=EntryKind.GRANT, amount=tokens, note=note))
    session.flush()


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
