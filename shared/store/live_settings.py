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


def next_version(session: Session) -> int:
    """Begin a change: others wait for the end of this transaction with theirs. Its number."""
    return session.scalars(
        update(Installation).values(version=Installation.version + 1).returning(Installation.version)
    ).one()


def read_changes(session: Session) -> dict[Place, Any]:
    """What was changed, as it is stored; also what only a newer version knows."""
    rows = session.execute(select(LiveSetting.section, LiveSetting.key, LiveSetting.value))
    return {Place(section, key): value for section, key, value in rows}


def store_change(session: Session, place: Place, value: Any) -> None:  # noqa: ANN401 - of any field
    """Keep a value."""
    row = insert(LiveSetting).values(section=place.section, key=place.key, value=value)
    session.execute(
        row.on_conflict_do_update(constraint="live_settings_pk", set_={"value": value, "updated_at": func.now()})
    )


def drop_change(session: Session, place: Place) -> None:
    """Forget a value: what the process was started with holds again."""
    session.execute(delete(LiveSetting).where(LiveSetting.section == place.section, LiveSetting.key == place.key))
