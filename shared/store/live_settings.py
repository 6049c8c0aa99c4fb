"""The live settings that were changed: kept over restarts, and numbered so that every process knows the newest."""

from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.contracts.live import Place
from shared.store.models import Installation, LiveSetting


def read_version(session: Session) -> int:
    """How often the live configuration was changed."""
    return session.scalars(select(Installation.version)).one()


def read_changes(session: Session) -> dict[Place, Any]:
    """What was changed, as it is stored; also what only a newer version knows."""
    rows = session.execute(select(LiveSetting.section, LiveSetting.key, LiveSetting.value))
    return {Place(section, key): value for section, key, value in rows}


def lock_changes(session: Session) -> dict[Place, Any]:
    """As `read_changes`; others wait with theirs for the end of this transaction."""
    session.execute(select(Installation.version).with_for_update())
    return read_changes(session)


def store_change(session: Session, place: Place, value: Any) -> int:  # noqa: ANN401 - of any field
    """Keep a value, which begins a new version: its number."""
    row = insert(LiveSetting).values(section=place.section, key=place.key, value=value)
    changed = {"value": row.excluded.value, "updated_at": func.now()}
    session.execute(row.on_conflict_do_update(constraint="live_settings_pk", set_=changed))
    return _next_version(session)


def drop_change(session: Session, place: Place) -> int:
    """Forget a value, so that what the processes were started with holds again; begins a new version: its number."""
    session.execute(delete(LiveSetting).where(LiveSetting.section == place.section, LiveSetting.key == place.key))
    return _next_version(session)


def _next_version(session: Session) -> int:
    raised = update(Installation).values(version=Installation.version + 1).returning(Installation.version)
    return session.scalars(raised).one()
