"""API keys: 256 random bits, shown once, kept as their SHA-256."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import uuid_utils.compat as uuids
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import AppRecord, find_app, read_app
from shared.store.models import ApiKey, App

KeyKind = Literal["app", "admin"]
_PREFIXES: dict[KeyKind, str] = {"app": "app-", "admin": "adm-"}
_SHOWN = 12
"""Characters of a key that name it in lists."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key, read; `app` is its app's name, None for an admin key."""

    prefix: str
    name: str
    app: str | None
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whom a key stands for: an app, or an administrator (`app` None)."""

    prefix: str
    app: AppRecord | None


def create_key(session: Session, *, kind: KeyKind, app: str | None, name: str = "") -> str:
    """Make a key and return it: this is the only time that it is seen.

    Raises:
        HeliconError: NOT_FOUND, there is no such app.
    """
    key = _PREFIXES[kind] + secrets.token_urlsafe(32)
    app_id = find_app(session, app).id if app is not None else None
    session.add(ApiKey(id=uuids.uuid7(), sha256=_sha256(key), prefix=key[:_SHOWN], name=name, app_id=app_id))
    session.flush()
    return key


def find_holder(session: Session, key: str) -> KeyHolder | None:
    """Whom `key` stands for; None where it is unknown or revoked."""
    query = (
        select(ApiKey.prefix, App)
        .outerjoin(App, App.id == ApiKey.app_id)
        .where(ApiKey.sha256 == _sha256(key), ApiKey.revoked_at.is_(None))
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    prefix, app = row
    return KeyHolder(prefix, read_app(app) if app is not None else None)  # pyright: ignore[reportUnnecessaryComparison] - an outer join


def key_works(session: Session, key: str) -> bool:
    """Whether `key` is known and not revoked."""
    return find_holder(session, key) is not None


def list_keys(session: Session) -> list[KeyRecord]:
    """All keys, the newest first."""
    query = (
        select(ApiKey.prefix, ApiKey.name, App.name, ApiKey.created_at, ApiKey.revoked_at)
        .outerjoin(App, App.id == ApiKey.app_id)
        .order_by(ApiKey.created_at.desc(), ApiKey.id.desc())
    )
    return [KeyRecord(*row) for row in session.execute(query)]


def revoke_key(session: Session, prefix: str) -> KeyRecord:
    """Take a key back: gateways refuse it as soon as they ask again.

    Args:
        session: to write with.
        prefix: the key's first characters, as `list_keys` shows them, or more of it.

    Raises:
        HeliconError: NOT_FOUND.
    """
    row = session.scalar(select(ApiKey).where(ApiKey.prefix == prefix[:_SHOWN]).with_for_update())
    if row is None:
        raise HeliconError(ErrorCode.NOT_FOUND, f"There is no key that begins with {prefix!r}.")
    if row.revoked_at is None:
        row.revoked_at = func.now()
        session.flush()
    return next(record for record in list_keys(session) if record.prefix == row.prefix)


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
